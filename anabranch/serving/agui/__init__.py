"""AG-UI, for front ends that people write themselves: the threads of the page behind another protocol."""
