// AG-UI's client: an answer as it is written, state, tools of the front end, a review, and a run that is aborted.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { buildResumeArray, HttpAgent } from "@ag-ui/client";

const [baseURL] = process.argv.slice(2);
const question = "When was the founder of Craigslist born?";
const ask = (agent, content, parameters, subscriber) => {
  agent.addMessage({ id: randomUUID(), role: "user", content });
  return agent.runAgent(parameters, subscriber);
};
const agent = () => new HttpAgent({ url: `${baseURL}/agui`, threadId: randomUUID() });

const first = agent();
const seen = [];
await ask(first, question, {}, { onEvent: ({ event }) => void seen.push(event.type) });
assert.equal(first.messages.at(-1).content, "In 1952");
assert.deepEqual(first.state.todos.map((todo) => todo.status), ["completed", "completed"]);
assert.equal(first.state.answers[2].text, "1952");
assert.equal(seen.filter((type) => type === "STEP_FINISHED").length, 2);
assert.equal(first.messages.filter((message) => message.role === "tool").length, 2);
await ask(first, question);
assert.equal(first.messages.at(-1).content, "In 1952");

const reviewed = agent();
let outcome;
const watch = { onRunFinishedEvent: (run) => void (outcome = run.outcome) };
await ask(reviewed, question, { forwardedProps: { review: true } }, watch);
assert.equal(outcome, "interrupt");
const [waiting] = reviewed.pendingInterrupts;
assert.match(waiting.message, /Who founded Craigslist\?/);
const payload = { type: "approve" };
const resume = buildResumeArray(reviewed.pendingInterrupts, { [waiting.id]: { status: "resolved", payload } });
await reviewed.runAgent({ resume });
assert.equal(reviewed.messages.at(-1).content, "In 1952");
assert.deepEqual(reviewed.pendingInterrupts, []);

const tools = [
  {
    name: "weather",
    description: "Tells the weather in a city.",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
];
const caller = agent();
await ask(caller, "What is the weather in Paris?", { tools });
const [call] = caller.messages.at(-1).toolCalls;
assert.deepEqual(JSON.parse(call.function.arguments), { city: "Paris" });
caller.addMessage({ id: randomUUID(), role: "tool", toolCallId: call.id, content: "Paris: 20 degrees" });
await caller.runAgent({ tools });
assert.equal(caller.messages.at(-1).content, "It is 20 degrees.");

const reloaded = new HttpAgent({ url: `${baseURL}/agui`, threadId: first.threadId });
await reloaded.runAgent();
assert.deepEqual(reloaded.messages.map((message) => message.content), [question, "In 1952", question, "In 1952"]);
assert.equal(reloaded.state.status, "answered");

const aborted = agent();
await ask(aborted, question, {}, { onStepStartedEvent: () => aborted.abortRun() });
assert.notEqual(aborted.messages.at(-1).role, "assistant");
await aborted.runAgent();
assert.equal(aborted.messages.at(-1).content, "In 1952");

await assert.rejects(ask(new HttpAgent({ url: `${baseURL}/agui`, threadId: "short" }), question), /HTTP 400/);
console.log("done");
