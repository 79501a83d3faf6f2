// The Vercel AI SDK, over responses, chat completions and its provider for compatible servers.
import assert from "node:assert/strict";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateObject, generateText, stepCountIs, streamObject, streamText, tool } from "ai";
import { z } from "zod";

const [baseURL] = process.argv.slice(2);
const openai = createOpenAI({ baseURL, apiKey: "none" });
const compatible = createOpenAICompatible({
  name: "anabranch",
  baseURL,
  apiKey: "none",
  supportsStructuredOutputs: true,
  includeUsage: true,
});
const models = {
  responses: openai.responses("anabranch"),
  chat: openai.chat("anabranch"),
  compatible: compatible("anabranch"),
};
const prompt = "When was the founder of Craigslist born?";
const schema = z.object({ name: z.string(), year: z.number() });
const founder = { name: "Craig Newmark", year: 1952 };
const pixel =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const weather = tool({
  description: "Tells the weather in a city.",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `${city}: 20 degrees`,
});

for (const [name, model] of Object.entries(models)) {
  const options = { model, maxRetries: 0 };
  const whole = await generateText({ ...options, prompt });
  assert.equal(whole.text, "In 1952", name);
  assert.equal(whole.finishReason, "stop", name);
  assert.ok(whole.usage.inputTokens > 0, name);

  const stream = streamText({ ...options, prompt });
  let text = "";
  for await (const piece of stream.textStream) text += piece;
  assert.equal(text, "In 1952", name);
  assert.ok((await stream.usage).outputTokens > 0, name);

  assert.deepEqual((await generateObject({ ...options, prompt, schema })).object, founder, name);
  const objects = streamObject({ ...options, prompt, schema });
  for await (const _ of objects.partialObjectStream);
  assert.deepEqual(await objects.object, founder, name);

  const asked = { ...options, prompt: "What is the weather in Paris?", tools: { weather }, stopWhen: stepCountIs(5) };
  const looped = await generateText(asked);
  assert.equal(looped.text, "It is 20 degrees.", name);
  assert.deepEqual(looped.steps.map((step) => step.finishReason), ["tool-calls", "stop"], name);
  const steps = streamText(asked);
  await steps.consumeStream();
  assert.equal(await steps.text, "It is 20 degrees.", name);

  // A conversation: what was said and called before is sent back, over responses as references to items.
  const messages = [
    { role: "user", content: "What is the weather in Paris?" },
    ...looped.response.messages,
    { role: "user", content: prompt },
  ];
  assert.equal((await generateText({ ...options, messages })).text, "In 1952", name);

  const forced = await generateText({ ...options, prompt: "Paris", tools: { weather }, toolChoice: "required" });
  assert.equal(forced.toolCalls[0].toolName, "weather", name);
  const named = { type: "tool", toolName: "weather" };
  assert.equal((await generateText({ ...options, prompt: "Paris", tools: { weather }, toolChoice: named })).toolCalls.length, 1);

  const picture = [{ type: "text", text: "What is this picture?" }, { type: "image", image: Buffer.from(pixel, "base64") }];
  assert.equal((await generateText({ ...options, messages: [{ role: "user", content: picture }] })).text, "a cat", name);
}
console.log("done");
