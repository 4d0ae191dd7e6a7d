/** A client of wsd's json protocol, wsd-protocol(7). Types: wsd.d.ts. */

/** A request failed: `code` is the server's, or `closed`, or `too_large`. */
export class WSDError extends Error {
  constructor(code, message) {
    super(message);
    this.name = 'WSDError';
    this.code = code;
  }
}

const defaults = {
  token: undefined, minimumWait: 500, maximumWait: 30_000, stableAfter: 5_000, connectTimeout: 20_000,
  answerTimeout: 15_000, heartbeat: 25_000,
};

export class Client extends EventTarget {
  #url; #options;
  #state = 'closed'; #user; #connection; #ownChannel; #retryAt = 0;
  #socket = null; #round = 0; #attempt = 0; #welcomed = false; #wentOffline = false; #lastToken;
  #retryTimer; #connectTimer; #stableTimer; #answerTimer; #heartbeatTimer;
  #nextID = 1;
  #requests = new Map();      // by id, in the order they were made; an entry leaves when it is answered
  #channels = new Map();      // by name: { epoch, seq } as far as heard, and whether it was joined by hand
  #listeners = [];

  constructor(url, options = {}) {
    super();
    this.#url = url;
    this.#options = { ...defaults, ...options };
  }

  get state() { return this.#state; }
  get user() { return this.#user; }
  get connection() { return this.#connection; }
  get channel() { return this.#ownChannel; }
  get retryAt() { return this.#retryAt; }

  connect() {
    if (this.#socket) return;
    if (this.#listeners.length === 0) this.#listen();
    this.#open();
  }

  close(code = 1000, reason = '') {
    for (const [target, name, action] of this.#listeners) target.removeEventListener(name, action);
    this.#listeners = [];
    this.#abandon(code, reason);
    for (const request of this.#requests.values()) request.reject(new WSDError('closed', 'the client was closed'));
    this.#requests.clear();
    this.#channels.clear();
    this.#ownChannel = undefined;
    this.#enter('closed');
  }

  join(channel, { since } = {}) {
    const known = this.#channels.get(channel) ?? {};
    this.#channels.set(channel, { ...known, ...since, wanted: true });
    return this.#request({ type: 'join', channel, ...(since && { since }) }, { keeps: true, isJoin: true });
  }

  leave(channel) {
    this.#channels.delete(channel);
    return this.#request({ type: 'leave', channel }, { keeps: false });
  }

  publish(channel, data) {
    return this.#request({ type: 'chat', ...(channel != null && { channel }), data }, { keeps: true });
  }

  async presence(channel) {
    return (await this.#request({ type: 'presence', channel }, { keeps: true })).users;
  }

  history(channel, { limit, before } = {}) {
    return this.#request({ type: 'history', channel, limit, before }, { keeps: true });
  }

  // --- Requests ---

  #request(message, { keeps, isJoin = false }) {
    if (this.#state === 'closed') return Promise.reject(new WSDError('closed', 'not connected; call connect() first'));
    const id = this.#nextID++;
    return new Promise((resolve, reject) => {
      const request = { id, text: JSON.stringify({ ...message, id }), message, keeps, isJoin, sent: false, resolve, reject };
      this.#requests.set(id, request);
      if (this.#welcomed) this.#send(request);
    });
  }

  #send(request) {
    request.sent = true;
    this.#socket.send(request.text);
    this.#expectAnswer();
  }

  /** Treats the connection as lost if an answer doesn't come in time. */
  #expectAnswer() {
    clearTimeout(this.#answerTimer);
    if (![...this.#requests.values()].some(request => request.sent)) return;
    this.#answerTimer = setTimeout(() => this.#lost(0, ''), this.#options.answerTimeout);
  }

  #answered(message) {
    const request = this.#requests.get(message.id);
    if (!request) return;
    this.#requests.delete(message.id);
    this.#expectAnswer();
    if (message.type === 'ack') {
      if (request.isJoin) this.#joined(request.message.channel, message);
      request.resolve(message);
    } else {
      const isRepeated = message.code === 'unavailable' && !request.keeps;
      if (request.isJoin && !isRepeated) this.#channels.delete(request.message.channel);
      request.reject(new WSDError(message.code, message.message));
    }
  }

  // --- Incoming messages ---

  /** After a join: the missed messages either follow, or are lost. */
  #joined(channel, { epoch, seq, recovered }) {
    const known = this.#channels.get(channel);
    if (!known) return;                                        // left again meanwhile
    const isGap = known.epoch !== undefined && !recovered && !(known.epoch === epoch && known.seq === seq);
    this.#channels.set(channel, recovered ? { ...known, epoch } : { ...known, epoch, seq });
    if (isGap) this.#tell('gap', { channel });
  }

  #received(text) {
    this.#expectHeartbeat();
    const message = JSON.parse(text);
    switch (message.type) {
      case 'ack': case 'error':
        if ('id' in message) this.#answered(message);
        else this.#tell('error', { code: message.code, message: message.message, channel: message.channel });
        return;
      case 'refresh': return void this.#refresh();
      case 'join': case 'leave': return this.#tell(message.type, message);
      case 'system':
        if (message.event === 'welcome') return this.#welcome(message);
        if (message.event === 'left') {
          this.#channels.delete(message.channel);
          return this.#tell('left', { channel: message.channel, reason: message.reason });
        }
        if (message.event === 'gap') {
          const { channel, epoch, seq } = message;
          const known = this.#channels.get(channel);
          if (known) this.#channels.set(channel, { ...known, epoch, seq });
          return this.#tell('gap', { channel });
        }
      // A message from the operator or the backend is handled like the others.
      case 'chat': {
        const known = this.#channels.get(message.channel);
        if (known && message.seq !== undefined) {
          if (message.seq <= known.seq) return;
          known.seq = message.seq;
        }
        this.#tell('message', message);
      }
    }
  }

  #welcome(message) {
    this.#user = message.user;
    this.#connection = message.connection;
    this.#welcomed = true;
    this.#ownChannel = message.channel;
    clearTimeout(this.#connectTimer);
    const becomeStable = () => { this.#attempt = 0; };
    this.#stableTimer = setTimeout(becomeStable, this.#options.stableAfter);
    if (message.channel !== undefined) {
      if (!this.#channels.has(message.channel)) this.#channels.set(message.channel, {});
      this.#joined(message.channel, message);
    }
    for (const channel of this.#channels.keys()) if (channel !== message.channel) this.#rejoin(channel);
    this.#enter('connected');
    for (const request of this.#requests.values()) if (!request.sent) this.#send(request);
  }

  /** Joins again what was joined by hand before; while the server can't, after a while once more. */
  #rejoin(channel) {
    const { wanted, epoch, seq } = this.#channels.get(channel) ?? {};
    if (!wanted || this.#isJoining(channel)) return;
    const round = this.#round;
    const since = epoch === undefined ? undefined : { epoch, seq };
    this.#request({ type: 'join', channel, since }, { keeps: false, isJoin: true }).catch(error => {
      if (error.code !== 'unavailable') return this.#tell('left', { channel, reason: error.message });
      const again = () => { if (round === this.#round) this.#rejoin(channel); };
      setTimeout(again, (0.5 + Math.random()) * this.#options.minimumWait * 4);
    });
  }

  #isJoining(channel) {
    return [...this.#requests.values()].some(({ isJoin, message }) => isJoin && message.channel === channel);
  }

  async #refresh() {
    const socket = this.#socket;
    const token = await this.#token();
    if (token === undefined || socket !== this.#socket) return;
    this.#request({ type: 'refresh', token }, { keeps: false })
      .catch(error => this.#tell('error', { code: error.code, message: error.message }));
  }

  // --- The connection ---

  async #token() {
    const { token } = this.#options;
    return this.#lastToken = typeof token === 'function' ? await token() : token;
  }

  async #open() {
    this.#abandon();
    const round = ++this.#round;
    this.#enter(this.#state === 'closed' || this.#state === 'connecting' ? 'connecting' : 'reconnecting');
    const url = new URL(this.#url, globalThis.location?.href);
    url.protocol = url.protocol.replace('http', 'ws');
    this.#connectTimer = setTimeout(() => this.#lost(0, ''), this.#options.connectTimeout);
    if (this.#options.token !== undefined) {
      try {
        url.searchParams.set('token', await this.#token());
      } catch (error) {
        if (round === this.#round) this.#lost(0, `no token: ${error.message}`);
        return;
      }
      if (round !== this.#round) return;
    }
    const own = this.#channels.get(this.#ownChannel);
    if (own?.epoch !== undefined) {
      url.searchParams.set('epoch', own.epoch);
      url.searchParams.set('seq', own.seq);
    }
    const socket = this.#socket = new WebSocket(url);
    socket.onmessage = event => this.#received(event.data);
    socket.onclose = event => this.#lost(event.code, event.reason);
  }

  /** Drops the socket at once; a closing handshake with a silent peer could take minutes. */
  #abandon(code, reason) {
    this.#round++;
    for (const timer of [this.#retryTimer, this.#connectTimer, this.#stableTimer, this.#answerTimer, this.#heartbeatTimer]) {
      clearTimeout(timer);
    }
    this.#retryAt = 0;
    this.#welcomed = false;
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onmessage = socket.onclose = null;
    socket.close(code, reason);
  }

  #lost(code, reason) {
    const wasConnected = this.#welcomed;
    this.#abandon();
    if (code === 1009) this.#giveUpLargest();
    for (const request of [...this.#requests.values()]) {
      if (request.keeps || !request.sent) { request.sent = false; continue; }
      this.#requests.delete(request.id);
      request.reject(new WSDError('closed', 'the connection was lost'));
    }
    // With the same token or permissions, another attempt would fail as well.
    const isRefused = code === 3003 || code === 3000 && typeof this.#options.token !== 'function';
    if (!isRefused) {
      if (code === 1008 || code === 1013) this.#attempt = Math.max(this.#attempt, 4);
      const wait = Math.random() * Math.min(this.#options.maximumWait, this.#options.minimumWait * 2 ** this.#attempt);
      this.#attempt++;
      this.#retryAt = Date.now() + wait;
      const connect = () => this.#open();
      this.#retryTimer = setTimeout(connect, wait);
    }
    this.#tell('lost', { code, reason, wasConnected, retryAt: this.#retryAt });
    this.#enter(isRefused ? 'refused' : 'reconnecting');
  }

  /** Rejects the largest request: sent again, it would end the next connection, too. */
  #giveUpLargest() {
    const sent = [...this.#requests.values()].filter(request => request.sent);
    const largest = sent.reduce((a, b) => (a && a.text.length >= b.text.length ? a : b), null);
    if (!largest) return;
    this.#requests.delete(largest.id);
    largest.reject(new WSDError('too_large', 'the message is too large for this server'));
  }

  /** Browsers don't report the server's pings, so the client pings a silent connection. */
  #expectHeartbeat() {
    clearTimeout(this.#heartbeatTimer);
    if (!this.#options.heartbeat) return;
    this.#heartbeatTimer = setTimeout(() => {
      if (this.#welcomed) this.#request({ type: 'ping' }, { keeps: false }).catch(() => {});
    }, this.#options.heartbeat);
  }

  #listen() {
    const on = (target, name, action) => {
      if (!target?.addEventListener) return;
      target.addEventListener(name, action);
      this.#listeners.push([target, name, action]);
    };
    on(globalThis, 'offline', () => { this.#wentOffline = true; });
    on(globalThis, 'online', () => {
      this.#attempt = 0;
      const mayBeDead = this.#wentOffline && this.#welcomed;     // and nobody would say so
      this.#wentOffline = false;
      if (mayBeDead) this.#lost(0, '');
      if (this.#state === 'reconnecting') this.#open();
    });
    on(globalThis.document, 'visibilitychange', () => {
      if (!document.hidden && this.#state === 'reconnecting' && !this.#socket) this.#open();
    });
  }

  #enter(state) {
    const isNew = state !== this.#state;
    this.#state = state;
    if (isNew || state === 'reconnecting') this.#tell('state', { state, retryAt: this.#retryAt });
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
