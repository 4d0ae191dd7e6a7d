/** A client of wsd's json protocol, as wsd-protocol(7) describes it. Served by the daemon as /wsd.js. */

/** Any JSON value. */
export type JSONValue = string | number | boolean | null | JSONValue[] | { [name: string]: JSONValue };

/** Where a channel's numbering stands. */
export interface Position {
  epoch: string;
  seq: number;
}

/** A message of a client (`chat`), or of the operator or the backend (`system`). */
export interface Message {
  type: 'chat' | 'system';
  /** Absent where the operator wrote to everybody. */
  channel?: string;
  /** Who published it; absent for messages of clients of the relay protocol, and of the backend. */
  from?: string;
  /** RFC 3339, UTC. */
  time: string;
  seq?: number;
  data: JSONValue;
}

export interface User {
  user: string;
  connections: number;
  since: string;
}

export interface JoinAck extends Position {
  channel: string;
  /** Whether everything after `since` follows. */
  recovered: boolean;
}

export interface PublishAck extends Position {
  channel: string;
  time: string;
}

export interface History extends Position {
  channel: string;
  /** The oldest first. */
  messages: Message[];
  /** Whether there are older ones. */
  more: boolean;
}

/** `refused`: the server does not want this client, which tries again only when `connect()` is called. */
export type State = 'closed' | 'connecting' | 'connected' | 'reconnecting' | 'refused';

export interface Options {
  /** The token to show, or what makes one: asked before each connection, and when the token has expired. */
  token?: string | (() => string | Promise<string>);
  /** Milliseconds: each wait before a new attempt is random between 0 and `minimumWait` times 2 to the power of attempts. */
  minimumWait?: number;
  maximumWait?: number;
  /** Milliseconds after which a connection counts as good, so that the waits begin anew. */
  stableAfter?: number;
  connectTimeout?: number;
  /** Milliseconds without an answer after which the connection counts as lost. */
  answerTimeout?: number;
  /** Milliseconds of silence after which the server is asked whether it is there; 0: never. */
  heartbeat?: number;
}

export interface Events {
  state: { state: State; retryAt: number };
  message: Message;
  /** Somebody came into a channel, or left it. */
  join: { channel: string; from: string; time: string };
  leave: { channel: string; from: string; time: string };
  /** What was said in the channel since the connection was lost can't be had any more: load it anew. */
  gap: { channel: string };
  /** This client is no longer in the channel. */
  left: { channel: string; reason: string };
  /** The connection was lost, with the close code, or 0 for silence. `retryAt` is 0 where it won't be tried again. */
  lost: { code: number; reason: string; wasConnected: boolean; retryAt: number };
  /** The server's complaint about something that nobody waits for. */
  error: { code: string; message: string; channel?: string };
}

/** `code` is that of the server's error, or `closed`, or `too_large`. */
export class WSDError extends Error {
  code: string;
}

/**
 * One connection that is kept up: it comes back after random waits, is in the same channels again, and gets what it missed.
 *
 *     import { Client } from '/wsd.js';
 *     const client = new Client('/chat');
 *     client.addEventListener('message', ({ detail }) => console.log(detail.from, detail.data));
 *     client.connect();
 *     await client.join('room:1');
 *     await client.publish('room:1', 'hello');
 */
export class Client extends EventTarget {
  /** The endpoint: ws, wss, http or https, or relative to the page. */
  constructor(url: string | URL, options?: Options);

  readonly state: State;
  /** Who the server says this client is. */
  readonly user: string | undefined;
  /** The connection's id, as `wsctl list` shows it. */
  readonly connection: string | undefined;
  /** The endpoint's own channel, in which this client is without joining. */
  readonly channel: string | undefined;
  /** When the next attempt is made, in milliseconds since 1970; 0 where none is waited for. */
  readonly retryAt: number;

  /** Connects, or tries again at once. */
  connect(): void;
  /** Ends the connection for good; what was not answered is rejected. */
  close(code?: number, reason?: string): void;

  /** Enters a channel, and again after each lost connection, until `leave`. */
  join(channel: string, options?: { since?: Position }): Promise<JoinAck>;
  leave(channel: string): Promise<{ channel: string }>;
  /**
   * Publishes in a channel; null is the endpoint's own. What is not acknowledged when the connection is lost is sent again,
   * and may then arrive twice: put an id into `data` where that matters.
   */
  publish(channel: string | null, data: JSONValue): Promise<PublishAck>;
  /** Who is in a channel that this client is in. */
  presence(channel: string): Promise<User[]>;
  /** What was said, at most `limit` messages, only those before the number `before`. */
  history(channel: string, options?: { limit?: number; before?: number }): Promise<History>;

  addEventListener<Name extends keyof Events>(
    name: Name, listener: (event: CustomEvent<Events[Name]>) => void, options?: boolean | AddEventListenerOptions): void;
  removeEventListener<Name extends keyof Events>(
    name: Name, listener: (event: CustomEvent<Events[Name]>) => void, options?: boolean | EventListenerOptions): void;
}
