#!/usr/bin/env node
// A client of cdktr in Node, without any package: one request, one reply.
//
//     node cdktr_client.mjs 127.0.0.1 5561 PING
//     node cdktr_client.mjs 127.0.0.1 5561 RUNTASK hello
//     node cdktr_client.mjs 127.0.0.1 5561 TRIGGER '{"workflow_id": "hello"}'
//     node cdktr_client.mjs -t 65 127.0.0.1 5561 AWAITRUN '{"workflow_instance_id": "keen-owl-7", "wait_ms": 60000}'
//
// The payload of the reply goes to stdout, what went wrong to stderr. Exit codes: 0 done, 2 the command line is wrong,
// 3 no principal answers, 6 the principal refused. `ask` can be imported too.
//
// It speaks ZMTP 3.1 as a REQ socket with the NULL mechanism: greeting, READY, then frames. A frame is a byte of flags,
// its size (one byte, or eight with LONG_SIZE, the highest first) and its body. A message is frames of which all but
// the last have MORE; a frame with COMMAND is not part of a message. A REQ socket's message begins with an empty frame.

import net from 'node:net';
import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const DONE = 0, USAGE = 2, NO_PRINCIPAL = 3, REFUSED = 6;
const MORE = 1, LONG_SIZE = 2, COMMAND = 4;

/** Bytes that a reply may have; those of a command are few. */
const MAX_REPLY = 2 ** 30, MAX_COMMAND = 4096;

const GREETING = Buffer.alloc(64);
GREETING.set([0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 1]);
GREETING.write('NULL', 12);
const READY = Buffer.from('\x05READY\x0bSocket-Type\0\0\0\x03REQ', 'latin1');

/** What went wrong, and the exit code that says so. */
export class CdktrError extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

function frame(flags, body) {
  const long = body.length > 255;
  const head = Buffer.alloc(long ? 9 : 2);
  head[0] = flags | (long ? LONG_SIZE : 0);
  if (long) head.writeBigUInt64BE(BigInt(body.length), 1);
  else head[1] = body.length;
  return Buffer.concat([head, body]);
}

/** The socket's bytes, as many at a time as are asked for, in however many packets they come. */
function reader(socket) {
  const source = socket[Symbol.asyncIterator]();
  let chunks = [], held = 0;
  return async function take(size) {
    while (held < size) {
      const { value, done } = await source.next();
      if (done) throw new CdktrError(NO_PRINCIPAL, 'the principal closed the connection');
      chunks.push(value);
      held += value.length;
    }
    const all = Buffer.concat(chunks);
    chunks = [all.subarray(size)];
    held -= size;
    return all.subarray(0, size);
  };
}

async function takeFrame(take) {
  const [flags, short] = await take(2);
  if (flags & ~(MORE | LONG_SIZE | COMMAND)) throw new CdktrError(NO_PRINCIPAL, 'what answers is no principal');
  let size = short;
  if (flags & LONG_SIZE) size = Number(Buffer.concat([Buffer.from([short]), await take(7)]).readBigUInt64BE());
  if (size > (flags & COMMAND ? MAX_COMMAND : MAX_REPLY)) {
    throw new CdktrError(NO_PRINCIPAL, 'what answers is too long');
  }
  return { flags, body: await take(size) };
}

/** Whether a command has this name; its length stands before it. */
function isCommand({ flags, body }, name) {
  return Boolean(flags & COMMAND) && body[0] === name.length && body.toString('latin1', 1, 1 + name.length) === name;
}

async function converse(socket, words) {
  const take = reader(socket);
  socket.write(GREETING);
  const theirs = await take(64);
  if (theirs[0] !== 0xff || theirs[9] !== 0x7f || theirs[10] < 3) {
    throw new CdktrError(NO_PRINCIPAL, 'what answers is no principal');
  }
  const mechanism = theirs.toString('latin1', 12, 32).replace(/\0.*/s, '');
  if (mechanism !== 'NULL') {
    throw new CdktrError(NO_PRINCIPAL, `the principal wants ${mechanism}`);
  }
  socket.write(frame(COMMAND, READY));
  if (!isCommand(await takeFrame(take), 'READY')) {
    throw new CdktrError(NO_PRINCIPAL, 'the principal refused the connection');
  }
  socket.write(Buffer.concat([frame(MORE, Buffer.alloc(0)), frame(0, Buffer.from(words.join('\x01')))]));
  for (;;) {
    const found = await takeFrame(take);
    if (isCommand(found, 'PING')) {
      // Its name and a time to live of two bytes; what follows is sent back.
      socket.write(frame(COMMAND, Buffer.concat([Buffer.from('\x04PONG'), found.body.subarray(7)])));
    } else if (!(found.flags & (COMMAND | MORE))) {
      return found.body.toString();
    }
  }
}

/** The reply to a request, as { kind, payload }; the payload is null where the kind stands alone. */
export async function ask(host, port, words, seconds = 3) {
  const socket = net.connect({ host, port });
  const timer = setTimeout(
    () => socket.destroy(new CdktrError(NO_PRINCIPAL, 'the principal did not answer in time')), seconds * 1000);
  // Told to whoever reads; without this it would end the process.
  socket.on('error', () => {});
  try {
    const text = await converse(socket, words);
    const cut = text.indexOf('\x01');
    return cut < 0 ? { kind: text, payload: null } : { kind: text.slice(0, cut), payload: text.slice(cut + 1) };
  } catch (error) {
    if (error instanceof CdktrError) throw error;
    throw new CdktrError(NO_PRINCIPAL, `no principal answers at ${host}:${port}: ${error.message || error.code}`);
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
}

async function main(words) {
  let seconds = 3;
  if (words[0] === '-t') {
    seconds = Number(words[1]);
    if (!(seconds > 0 && seconds <= 86400)) throw new CdktrError(USAGE, `-t takes seconds, not ${words[1]}`);
    words = words.slice(2);
  }
  if (words.length < 3 || !/^\d+$/.test(words[1]) || !(words[1] > 0 && words[1] < 65536)) {
    throw new CdktrError(USAGE, 'usage: cdktr_client.mjs [-t SECONDS] HOST PORT VERB [ARGUMENT]...');
  }
  const [host, port, ...request] = words;
  const { kind, payload } = await ask(host, Number(port), request, seconds);
  const isDone = payload === null ? ['PONG', 'OK'].includes(kind) : kind === 'SUCCESS';
  if (!isDone) throw new CdktrError(REFUSED, `${kind}: ${payload ?? ''}`);
  process.stdout.write(`${payload ?? kind}\n`);
  return DONE;
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  try {
    process.exitCode = await main(process.argv.slice(2));
  } catch (error) {
    console.error(`cdktr_client: ${error.message}`);
    process.exitCode = error.code;
  }
}
