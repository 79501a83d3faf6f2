// The official client: chat completions and responses, whole and streamed, with tools and as JSON.
import assert from "node:assert/strict";
import OpenAI from "openai";
import { zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";

const [baseURL] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey: "none", maxRetries: 0 });
const model = "anabranch";
const question = "When was the founder of Craigslist born?";
const Founder = z.object({ name: z.string(), year: z.number() });
const weather = {
  name: "weather",
  description: "Tells the weather in a city.",
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
};

const chat = await client.chat.completions.create({ model, messages: [{ role: "user", content: question }] });
assert.equal(chat.choices[0].message.content, "In 1952");
assert.ok(chat.usage.total_tokens > 0);

let text = "";
let usage;
const chunks = await client.chat.completions.create({
  model,
  messages: [{ role: "user", content: question }],
  stream: true,
  stream_options: { include_usage: true },
});
for await (const chunk of chunks) {
  text += chunk.choices[0]?.delta.content ?? "";
  usage = chunk.usage ?? usage;
}
assert.equal(text, "In 1952");
assert.deepEqual(usage, chat.usage);

const parsed = await client.chat.completions.parse({
  model,
  messages: [{ role: "user", content: question }],
  response_format: zodResponseFormat(Founder, "founder"),
});
assert.deepEqual(parsed.choices[0].message.parsed, { name: "Craig Newmark", year: 1952 });

const runner = client.chat.completions.runTools({
  model,
  messages: [{ role: "user", content: "What is the weather in Paris?" }],
  tools: [{ type: "function", function: { ...weather, parse: JSON.parse, function: ({ city }) => `${city}: 20 degrees` } }],
});
assert.equal(await runner.finalContent(), "It is 20 degrees.");

const response = await client.responses.create({ model, input: question });
assert.equal(response.output_text, "In 1952");

const json = await client.responses.parse({ model, input: question, text: { format: zodTextFormat(Founder, "founder") } });
assert.deepEqual(json.output_parsed, { name: "Craig Newmark", year: 1952 });

const stream = client.responses.stream({ model, input: question });
let streamed = "";
stream.on("response.output_text.delta", (event) => (streamed += event.delta));
assert.equal((await stream.finalResponse()).output_text, "In 1952");
assert.equal(streamed, "In 1952");

const tools = [{ type: "function", ...weather, strict: false }];
const calling = await client.responses.create({ model, input: "What is the weather in Paris?", tools });
const outputs = calling.output.map((item) => ({
  type: "function_call_output",
  call_id: item.call_id,
  output: `${JSON.parse(item.arguments).city}: 20 degrees`,
}));
const told = await client.responses.create({ model, input: outputs, tools, previous_response_id: calling.id });
assert.equal(told.output_text, "It is 20 degrees.");

await assert.rejects(client.responses.create({ model, input: "And?", previous_response_id: "resp_x" }), {
  status: 400,
  code: "previous_response_not_found",
});
console.log("done");
