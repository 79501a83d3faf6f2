"""The page at `/`: a conversation in the browser, in which one sees the plan run."""
