import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { restoreCase, scramble } from "../../../src/dns/letter-case.ts";
import { scanMessage } from "../../../src/dns/message.ts";
import { expandName, nameToText, textToName } from "../../../src/dns/name.ts";
import { createWriter } from "../../../src/dns/writer.ts";
import { questionFor, withUpstreams } from "../../support/dns-upstreams.ts";
import { replyTo, type Script } from "../../support/scripted-upstream.ts";

const name = "a-rather-long.name.example";
const good: Script = ({ query, send }) => send(replyTo(query));
const lowering: Script = ({ query, send }) => {
  const reply = replyTo(query);
  reply.set(Buffer.from(reply.toString("latin1", 12, 12 + name.length + 1).toLowerCase(), "latin1"), 12);
  send(reply);
};

describe("0x20", { concurrency: true }, () => {
  test("auto: questions leave in ever other letters, and come back in the client's", () =>
    withUpstreams([good], {}, async ({ resolver, servers }) => {
      for (let round = 0; round < 10; round++) {
        const reply = await resolver.resolve(questionFor("A-rather-LONG.name.example"), false);
        assert.equal(nameToText(expandName(reply.bytes, 12)!), "A-rather-LONG.name.example");
        assert.equal(
          nameToText(expandName(reply.bytes, reply.records[0]!.owner)!),
          "A-rather-LONG.name.example",
        );
      }
      const seen = new Set(servers[0]!.asked.map((question) => question.name));
      assert.ok(seen.size >= 8, [...seen].join(" "));
      assert.ok([...seen].every((each) => each.toLowerCase() === name));
    }));

  test("auto: owner names written out come back in the client's letters, too", () =>
    withUpstreams(
      [({ query, send }) => send(replyTo(query, { plainOwner: true }))],
      {},
      async ({ resolver }) => {
        const reply = await resolver.resolve(questionFor(name), false);
        assert.equal(nameToText(expandName(reply.bytes, reply.records[0]!.owner)!), name);
      },
    ));

  test("off: the client's letters leave", () =>
    withUpstreams([good], { settings: { letterCase: "off" } }, async ({ resolver, servers }) => {
      await resolver.resolve(questionFor("MiXed.example"), false);
      assert.equal(servers[0]!.asked[0]!.name, "MiXed.example");
      assert.equal(resolver.stats()[0]!.transport, "udp");
    }));

  test("auto ends, and says so once, for a server that does not keep case; each question is answered all along", () =>
    withUpstreams([lowering], {}, async ({ resolver, servers, said }) => {
      for (let round = 0; round < 6; round++)
        assert.equal((await resolver.resolve(questionFor(name), false)).records.length, 1);
      const transports = servers[0]!.asked.map(({ transport }) => transport);
      assert.deepEqual(transports, ["udp", "tcp", "udp", "tcp", "udp", "tcp", "udp", "udp", "udp"]);
      assert.equal(servers[0]!.asked.at(-1)!.name, name);
      assert.equal(said.filter(({ msg }) => msg.includes("without 0x20")).length, 1);
    }));

  test("auto ends for a server that neither keeps case nor has TCP: the question is answered all the same", () =>
    withUpstreams(
      [
        ({ transport, ...question }) =>
          transport === "udp" ? lowering({ transport, ...question }) : question.close(),
      ],
      {},
      async ({ resolver }) => {
        assert.equal((await resolver.resolve(questionFor(name), false)).records.length, 1);
        assert.equal(resolver.stats()[0]!.transport, "udp");
      },
    ));

  test("auto stays for a server that now and then gets one wrong", () => {
    let asked = 0;
    const now: Script = (question) =>
      (question.transport === "udp" && asked++ % 3 === 0 ? lowering : good)(question);
    return withUpstreams([now], {}, async ({ resolver }) => {
      for (let round = 0; round < 15; round++) await resolver.resolve(questionFor(name), false);
      assert.equal(resolver.stats()[0]!.transport, "udp, 0x20");
    });
  });

  for (const [mode, code] of [
    ["auto", 0],
    ["off", 1],
  ] as const)
    test(`${mode}: an error without its question is ${code === 0 ? "no answer; TCP is asked" : "believed"}`, () => {
      const formerr: Script = ({ query, send }) =>
        send(Buffer.from([query[0]!, query[1]!, 0x81, 0x81, 0, 0, 0, 0, 0, 0, 0, 0]));
      const script: Script = (question) => (question.transport === "udp" ? formerr : good)(question);
      return withUpstreams([script], { settings: { letterCase: mode } }, async ({ resolver }) => {
        assert.equal((await resolver.resolve(questionFor(name), false)).flags & 15, code);
      });
    });

  test("a signed question leaves as it is", () =>
    withUpstreams([good], {}, async ({ resolver, servers }) => {
      const query = questionFor(name);
      query.writeUInt16BE(1, 10);
      // TSIG (250), class ANY, no data: enough for us to keep our hands off.
      const signed = Buffer.concat([query, Buffer.from([0, 0, 250, 0, 255, 0, 0, 0, 0, 0, 0])]);
      await resolver.resolve(signed, false).catch(() => undefined);
      assert.equal(servers[0]!.asked[0]!.name, name);
    }));
});

test("restoring: a DNAME's CNAME repeats only the first labels", () => {
  const original = textToName("host.sub.old.example");
  const sent = Uint8Array.from([...new Uint8Array(12), ...original, 0, 1, 0, 1]);
  const client = Uint8Array.from(sent);
  do scramble(sent, 12 + original.length);
  while (Buffer.compare(sent, client) === 0);
  const asked = sent.subarray(12, 12 + original.length);
  const writer = createWriter();
  for (const value of [1, 0x8180, 1, 1, 0, 0]) writer.u16(value);
  writer.name(asked);
  writer.u32(0x0001_0001);
  const labels = asked.subarray(0, 1 + 4 + 1 + 3);
  writer.record(asked, 5, 1, 60, () => {
    writer.raw(labels);
    writer.raw(textToName("new.example"));
  });
  const reply = scanMessage(writer.finish())!;
  restoreCase(reply, sent, client);
  assert.equal(nameToText(expandName(reply.bytes, 12)!), "host.sub.old.example");
  assert.equal(nameToText(expandName(reply.bytes, reply.records[0]!.rdata)!), "host.sub.new.example");
});
