import type { Socket } from "node:net";

export interface Login {
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  readonly db: number;
}

export const closedEarly = "the server closed the connection without a word";
const maxGreeting = 16_384;
const needless = /no password is set|without any password configured/;

/** AUTH and SELECT as far as the target asks for them, else PING. Rejects when the server refuses. */
export async function greet(
  socket: Socket,
  { username, password, db }: Login,
  noteNeedless: () => void,
): Promise<void> {
  const anonymous = username === undefined && password === undefined;
  const login = anonymous ? [] : [["AUTH", ...(username === undefined ? [] : [username]), password ?? ""]];
  const select = db === 0 ? [] : [["SELECT", String(db)]];
  const commands = [...login, ...select];
  const asked = commands.length > 0 ? commands : [["PING"]];
  socket.write(asked.map(encode).join(""));
  for await (const line of lines(socket, asked.length)) {
    const verb = asked.shift()?.[0];
    if (!line.startsWith("-")) continue;
    const text = line.slice(1);
    if (verb === "AUTH" && needless.test(text)) noteNeedless();
    // Who may not PING may still be allowed what we need.
    else if (verb !== "PING" || /^(DENIED|NOAUTH)/.test(text)) throw new Error(text);
  }
}

function encode(words: readonly string[]): string {
  return `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join("")}`;
}

/** The first `count` lines that the server says. Ends with the listeners gone, the socket paused and nothing unread. */
async function* lines(socket: Socket, count: number): AsyncGenerator<string> {
  let text = "";
  for (let seen = 0; seen < count; seen++) {
    let end = text.indexOf("\r\n");
    while (end < 0) {
      text += await nextData(socket);
      if (text.length > maxGreeting) throw new Error("what answers there is no Redis");
      end = text.indexOf("\r\n");
    }
    yield text.slice(0, end);
    text = text.slice(end + 2);
  }
}

/** Rejects with the socket's error, or {@link closedEarly}. Leaves the socket paused. */
export function nextData(socket: Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    const events = {
      data(part: Buffer) {
        socket.pause();
        done();
        resolve(part.toString("utf8"));
      },
      error(error: Error) {
        done();
        reject(error);
      },
      end: () => events.error(new Error(closedEarly)),
      close: () => events.error(new Error(closedEarly)),
    };
    const done = () => {
      for (const [name, listener] of Object.entries(events)) socket.off(name, listener);
    };
    for (const [name, listener] of Object.entries(events)) socket.on(name, listener);
    socket.resume();
  });
}
