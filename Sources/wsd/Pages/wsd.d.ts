/** A client of wsd's json protocol, which wsd-protocol(7) describes. Served by the daemon as /wsd.js. */

/** Any JSON value. */
export type JSONValue = string | number | boolean | null | JSONValue[] | { [name: string]: JSONValue };

/** A position in a channel: the numbering, and a number in it. */
export interface Position {
  epoch: string;
  seq: number;
}

/** A message from a client (`chat`), or from the operator or the backend (`system`). */
export interface Message {
  type: 'chat' | 'system';
  /** Absent if the operator wrote to everybody. */
  channel?: string;
  /** The user that published it; absent for messages from clients of the relay protocol, and from the backend. */
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
  /** The messages, the oldest first. */
  messages: Message[];
  /** Whether there are older messages. */
  more: boolean;
}

/** `refused`: the server refused this client, which tries again only when `connect()` is called. */
export type State = 'closed' | 'connecting' | 'connected' | 'reconnecting' | 'refused';

export interface Options {
  /** The token, or a function that returns one, called before each connection and when the token has expired. */
  token?: string | (() => string | Promise<string>);
  /** Milliseconds: each delay before an attempt is random between 0 and `minimumWait` times 2 to the power of attempts. */
  minimumWait?: number;
  maximumWait?: number;
  /** Milliseconds after which a connection counts as stable, so that the delays start again from the minimum. */
  stableAfter?: number;
  connectTimeout?: number;
  /** Milliseconds without an answer after which the connection counts as lost. */
  answerTimeout?: number;
  /** Milliseconds of silence after which the client sends a ping; 0: never. */
  heartbeat?: number;
}

export interface Events {
  state: { state: State; retryAt: number };
  message: Message;
  /** A user has joined a channel, or left it. */
  join: { channel: string; from: string; time: string };
  leave: { channel: string; from: string; time: string };
  /**
   * Messages are missing: those published since the connection was lost are no longer available, or the hub itself
   * has lost some. Load the channel's state anew.
   */
  gap: { channel: string };
  /** This client is no longer in the channel. */
  left: { channel: string; reason: string };
  /** The connection was lost, with the close code, or 0 for silence. `retryAt` is 0 if there is no further attempt. */
  lost: { code: number; reason: string; wasConnected: boolean; retryAt: number };
  /** An error from the server that belongs to no pending request. */
  error: { code: string; message: string; channel?: string };
}

/** An error: `code` is that of the server's error, or `closed`, or `too_large`. */
export class WSDError extends Error {
  code: string;
}

/**
 * A connection that reconnects after random delays, rejoins its channels, and gets the messages it missed.
 *
 *     import { Client } from '/wsd.js';
 *     const client = new Client('/chat');
 *     client.addEventListener('message', ({ detail }) => console.log(detail.from, detail.data));
 *     client.connect();
 *     await client.join('room:1');
 *     await client.publish('room:1', 'hello');
 */
export class Client extends EventTarget {
  /** The URL of the endpoint: ws, wss, http or https, or relative to the page. */
  constructor(url: string | URL, options?: Options);

  readonly state: State;
  /** The name of this client according to the server. */
  readonly user: string | undefined;
  /** The connection's id, as `wsctl list` shows it. */
  readonly connection: string | undefined;
  /** The endpoint's own channel, which this client is in without joining. */
  readonly channel: string | undefined;
  /** The time of the next attempt in milliseconds since 1970; 0 if none is planned. */
  readonly retryAt: number;

  /** Connects, or reconnects at once. */
  connect(): void;
  /** Closes the connection for good; pending requests are rejected. */
  close(code?: number, reason?: string): void;

  /** Joins a channel, and rejoins it after each lost connection, until `leave`. */
  join(channel: string, options?: { since?: Position }): Promise<JoinAck>;
  leave(channel: string): Promise<{ channel: string }>;
  /**
   * Publishes in a channel; null means the endpoint's own. If the connection is lost before the acknowledgement, the message
   * is sent again and may arrive twice: put an id into `data` if that matters.
   */
  publish(channel: string | null, data: JSONValue): Promise<PublishAck>;
  /** The users in a channel that this client is in. */
  presence(channel: string): Promise<User[]>;
  /** The messages kept for a channel, at most `limit` of them, and only those before the number `before`. */
  history(channel: string, options?: { limit?: number; before?: number }): Promise<History>;

  addEventListener<Name extends keyof Events>(
    name: Name, listener: (event: CustomEvent<Events[Name]>) => void, options?: boolean | AddEventListenerOptions): void;
  removeEventListener<Name extends keyof Events>(
    name: Name, listener: (event: CustomEvent<Events[Name]>) => void, options?: boolean | EventListenerOptions): void;
}
