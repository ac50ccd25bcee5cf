import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { readAsked } from "../../src/dns/asked.ts";
import { cutToUdp } from "../../src/dns/cut-reply.ts";
import { restoreCase, scramble } from "../../src/dns/letter-case.ts";
import { scanMessage } from "../../src/dns/message.ts";
import { pad, unpad } from "../../src/dns/padding.ts";
import { matchReply } from "../../src/dns/upstream-reply.ts";
import { questionFor } from "../support/dns-upstreams.ts";
import { replyTo } from "../support/scripted-upstream.ts";

const seed = Number(process.env.EGRESS46_SEED ?? 46);
const label = fc.stringMatching(/^[a-zA-Z0-9-]{1,20}$/);
const name = fc.array(label, { minLength: 1, maxLength: 5 }).map((labels) => labels.join("."));
const changes = fc.array(fc.tuple(fc.nat(200), fc.nat(255)), { maxLength: 8 });
const opt = Buffer.from([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 8, 0, 12, 0, 4, 0, 0, 0, 0]);

test(`whatever an upstream replies: no exception, and the client's name where it is believed (seed ${seed})`, () => {
  let believed = 0;
  fc.assert(
    fc.property(name, changes, fc.boolean(), fc.option(fc.nat(100)), (text, mutations, plainOwner, cut) => {
      const query = questionFor(text, { ednsSize: 1232 });
      const asked = readAsked(query)!;
      const sent = Buffer.from(query);
      scramble(sent, asked.question.nameEnd);
      let reply = replyTo(sent, { plainOwner, additional: opt });
      for (const [offset, value] of mutations) if (offset < reply.length) reply[offset] = value;
      if (cut !== null) reply = reply.subarray(0, cut);
      const message = matchReply(sent, asked.question, reply);
      if (message === undefined) return;
      believed++;
      restoreCase(message, sent, query);
      const { nameEnd } = asked.question;
      for (const each of [message, unpad(message), cutToUdp(asked, message)])
        assert.deepEqual(Buffer.from(each.bytes.subarray(12, nameEnd)), query.subarray(12, nameEnd));
    }),
    { seed, numRuns: 5000 },
  );
  assert.ok(believed > 500, `${believed} believed`);
});

test(`padding: a multiple of 128, the question still the same (seed ${seed})`, () => {
  const options = fc.array(
    fc.record({
      code: fc.integer({ min: 65001, max: 65534 }),
      data: fc.uint8Array({ maxLength: 300 }).map((data) => Buffer.from(data)),
    }),
    { maxLength: 3 },
  );
  fc.assert(
    fc.property(name, options, (text, list) => {
      const query = questionFor(text, { ednsSize: 1232, options: list });
      const padded = pad(readAsked(query)!);
      assert.equal(padded.length % 128, 0);
      assert.ok(padded.length >= query.length && padded.length < query.length + 132);
      assert.deepEqual(Buffer.from(unpad(scanMessage(padded)!).bytes), query);
    }),
    { seed, numRuns: 500 },
  );
});
