import { Client } from '/wsd.js';

const keptMessages = 500, keptIDs = 2_000, longestShown = 20_000;

const $ = id => document.getElementById(id);
const root = document.documentElement, scroller = $('scroller'), messages = $('messages');
const textField = $('text'), nameField = $('name');

/** Storage may be absent or forbidden: then nothing is remembered, but everything else works. */
const recall = (area, key) => { try { return window[area].getItem(key); } catch { return null; } };
const remember = (area, key, value) => { try { window[area].setItem(key, value); } catch { /* not remembered */ } };

/** crypto.randomUUID is missing if the page was loaded by plain http from another machine. */
const randomID = () => Array.from(crypto.getRandomValues(new Uint8Array(12)), byte => byte.toString(16).padStart(2, '0')).join('');

// --- The conversation ---

const rooms = new Map();        // by channel: what was said there, who is there; in the order they were entered
let current = null;             // the room that is shown
let arrived = [];               // what came in since the last paint; rendered in one go, so a flood costs one layout a frame
let paintDue = false;
let previous = null;            // the message above, to put messages of one person together
let following = true;           // the reader is at the bottom and wants to stay there
let lastTop = 0, unread = 0, unseen = 0;

function show(item, room = current) {
  item.at ??= new Date();
  if (room) {
    room.items.push(item);
    if (room.items.length > keptMessages) room.items.shift();
    if (room !== current) {
      if (item.kind !== 'note') { room.unread++; paintRooms(); }
      return;
    }
  }
  arrived.push(item);
  if (arrived.length > keptMessages) arrived.shift();
  if (document.hidden && item.kind !== 'note') document.title = `(${++unseen}) wsd chat`;
  if (item.kind !== 'note' && !item.mine && !following) unread++;
  if (paintDue) return;
  paintDue = true;
  requestAnimationFrame(paint);
  setTimeout(paint, 100);       // a hidden page gets no animation frames
}

/** Shows a room from the beginning. */
function showRoom(room) {
  current = room;
  room.unread = unread = 0;
  arrived = [];
  previous = null;
  const lines = document.createDocumentFragment();
  for (const item of room.items) lines.append(item.kind === 'note' ? noteElement(item) : messageElement(item));
  messages.replaceChildren(lines);
  $('empty').hidden = room.items.length > 0 || outbox.size > 0;
  paintRooms();
  paintPeople();
  toBottom();
  paintPill();
}

function paint() {
  if (!paintDue) return;
  paintDue = false;
  const lines = document.createDocumentFragment();
  for (const item of arrived) lines.append(item.kind === 'note' ? noteElement(item) : messageElement(item));
  arrived = [];
  messages.append(lines);
  while (messages.childElementCount > keptMessages) messages.firstElementChild.remove();
  $('empty').hidden = true;
  if (following) toBottom();
  paintPill();
}

function element(tag, className, content) {
  const made = document.createElement(tag);
  made.className = className;
  if (content !== undefined) made.textContent = content;     // the only way by which foreign text enters the page
  return made;
}

function messageElement({ kind, mine, name, text, at, waiting }) {
  const line = element('li', `message ${mine ? 'mine' : kind}`);
  const clock = at.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
  if (!waiting) {
    const same = previous && previous.name === name && previous.mine === mine && previous.kind === kind && at - previous.at < 300_000;
    line.classList.toggle('next', Boolean(same));
    line.classList.add('arrived');
    previous = { kind, mine, name, at };
  }
  const author = mine ? 'You' : kind === 'plain' ? 'No name' : name;
  if (!mine) {
    const avatar = element('span', 'avatar', kind === 'plain' ? '›_' : [...author][0].toUpperCase());
    avatar.ariaHidden = 'true';
    line.style.setProperty('--hue', hue(author));
    line.append(avatar);
  }
  const body = element('div', 'body');
  const head = element('p', line.classList.contains('next') ? 'head spoken' : 'head');
  const who = element('span', 'name');
  who.append(element('bdi', '', author));
  const when = element('time', '', waiting ? 'waiting' : clock);
  if (!waiting) when.dateTime = at.toISOString();
  head.append(who, when);
  const shown = text.length > longestShown ? `${text.slice(0, longestShown)}… (${text.length - longestShown} more characters)` : text;
  const bubble = element('p', 'text', shown);
  bubble.dir = 'auto';
  bubble.title = waiting ? 'Waiting to be sent' : at.toLocaleString();
  body.append(head, bubble);
  line.append(body);
  return line;
}

function noteElement({ text }) {
  previous = null;
  return element('li', 'note', text);
}

const note = text => show({ kind: 'note', text });

function hue(name) {
  let hash = 0;
  for (const unit of name) hash = (hash * 31 + unit.codePointAt(0)) >>> 0;
  return (hash * 137) % 360;
}

function toBottom() {
  scroller.scrollTop = scroller.scrollHeight;
  lastTop = scroller.scrollTop;
  following = true;
  unread = 0;
}

function paintPill() {
  const pill = $('newer');
  if (unread === 0 && document.activeElement === pill) scroller.focus();
  pill.hidden = unread === 0;
  pill.textContent = unread === 1 ? '1 new message ↓' : `${unread} new messages ↓`;
}

scroller.addEventListener('scroll', () => {
  const top = scroller.scrollTop;
  if (scroller.scrollHeight - top - scroller.clientHeight < 48) { following = true; unread = 0; paintPill(); }
  else if (top < lastTop - 1) following = false;             // only the reader moves up; new lines don't
  lastTop = top;
}, { passive: true });
new ResizeObserver(() => { if (following) toBottom(); }).observe(scroller);     // a phone's keyboard, a turned screen
$('newer').addEventListener('click', () => { toBottom(); paintPill(); });

// --- Messages that have been written and are not acknowledged yet ---

const outbox = new Map();       // by id, in the order written; an entry leaves only when its own echo arrives
const known = new Set();        // ids shown; a message sent again after a lost connection is shown once

function post(entry) {
  entry.line = messageElement({ kind: 'chat', mine: true, waiting: true, at: new Date(), ...entry });
  entry.line.classList.add('waiting');
  outbox.set(entry.id, entry);
  $('outbox').append(entry.line);
  $('empty').hidden = true;
  saveOutbox();
  toBottom();
  paintPill();
  const { name, text, id } = entry;
  client.publish(entry.room, { name, text, id }).catch(error => returned(entry, error));
}

function settle(entry) {
  outbox.delete(entry.id);
  entry.line.remove();
  saveOutbox();
}

/** Kept in case this tab is reloaded. Two tabs with the same entries do no harm, because each id is shown once. */
function saveOutbox() {
  const kept = [...outbox.values()].map(({ room, name, text, id }) => ({ room, name, text, id }));
  remember('sessionStorage', 'wsd.outbox', JSON.stringify(kept));
}

/** Puts a message that the server refused back into the text field. */
function returned(entry, error) {
  if (!outbox.has(entry.id)) return;
  settle(entry);
  textField.value = `${entry.text}\n${textField.value}`.trim();
  note(error.code === 'too_large'
    ? 'Your message is too long for this server. It is back in the text field, to be shortened.'
    : `Your message was not sent: ${error.message}. It is back in the text field.`);
}

/** An item for a message, which may come from any program. */
function item({ from, data, time }) {
  const at = new Date(time);
  const chat = parse(data);
  if (!chat) return { kind: 'plain', text: typeof data === 'string' ? data : JSON.stringify(data), at };
  // The name that the server gives is more reliable than the one in the message.
  const isGuest = from === undefined || from.startsWith('guest-');
  const name = isGuest ? tidy(chat.name) || 'Someone' : from;
  if (from && names.get(from) !== name) {
    names.set(from, name);
    paintPeople();
  }
  const own = outbox.get(chat.id);
  return { kind: 'chat', mine: Boolean(own) || sent.has(chat.id), name, text: chat.text, id: chat.id, at };
}

const names = new Map();        // what users call themselves, by user
const sent = new Set(JSON.parse(recall('sessionStorage', 'wsd.sent') ?? '[]'));     // ids of this tab's messages

function received(message) {
  const room = message.channel === undefined ? current : rooms.get(message.channel);
  if (!room) return;
  if (room.loading) return void room.loading.push(message);
  take(message, room);
}

function take(message, room) {
  const line = item(message);
  if (line.id) {
    if (known.has(line.id)) return;
    known.add(line.id);
    if (known.size > keptIDs) known.delete(known.values().next().value);
    const own = outbox.get(line.id);
    if (own) {
      settle(own);
      sent.add(line.id);
      remember('sessionStorage', 'wsd.sent', JSON.stringify([...sent].slice(-keptMessages)));
    }
  }
  show(line, room);
  if (message.from && room.people && !room.people.some(({ user }) => user === message.from)) count(room);
}

function parse(data) {
  try {
    const value = typeof data === 'string' ? JSON.parse(data) : data;
    return [value.name, value.text, value.id].every(field => typeof field === 'string') && value.id ? value : null;
  } catch { return null; }
}

const tidy = name => [...name.replace(/\s+/g, ' ').trim()].slice(0, 40).join('');

// --- Rooms ---

/** A room's channel is "room:" and its name; the endpoint's own channel is a room, too. */
const channelOf = name => name === client.channel ? name : `room:${name}`;
const nameOf = channel => channel === client.channel ? channel : channel.replace(/^room:/, '');

/** Enters a room, once; its history is shown first. */
function enter(channel) {
  let room = rooms.get(channel);
  if (room) return room;
  room = { channel, items: [], unread: 0, people: null, loading: [] };
  rooms.set(channel, room);
  const joined = channel === client.channel ? Promise.resolve() : client.join(channel);
  joined.then(() => load(room), error => {
    room.loading = null;
    show({ kind: 'note', text: `You can't enter: ${error.message}.` }, room);
  });
  saveRooms();
  return room;
}

/** Shows the history, and then the messages that came meanwhile. A channel without history shows only the latter. */
async function load(room) {
  const history = await client.history(room.channel, { limit: 100 }).catch(() => ({ messages: [], seq: 0 }));
  const meanwhile = room.loading ?? [];
  room.loading = null;
  for (const message of history.messages) take(message, room);
  for (const message of meanwhile) if (!(message.seq <= history.seq)) take(message, room);
  count(room);
}

/** Asks for the users in the room. A server without presence returns an error, and nothing is shown. */
async function count(room) {
  room.people = await client.presence(room.channel).catch(() => null);
  if (room === current) paintPeople();
}

function leave(room) {
  client.leave(room.channel).catch(() => {});
  rooms.delete(room.channel);
  saveRooms();
  if (room === current) location.hash = '';
  paintRooms();
}

function saveRooms() {
  const names = [...rooms.keys()].filter(channel => channel !== client.channel).map(nameOf);
  remember('sessionStorage', 'wsd.rooms', JSON.stringify(names));
}

/** Enters the room in the page's address, which can be sent to others. */
function go() {
  if (client.channel === undefined && client.state !== 'connected') return;
  let name = '';
  try { name = tidy(decodeURIComponent(location.hash.slice(1))); } catch { /* no name */ }
  name ||= client.channel;
  if (name === undefined) return;
  const room = enter(channelOf(name));
  if (room !== current) showRoom(room);
}

function paintRooms() {
  const focused = document.activeElement?.closest('#rooms button')?.dataset.channel;
  $('rooms').replaceChildren(...[...rooms.values()].map(room => {
    const line = element('li', ''), button = element('button', '', nameOf(room.channel));
    button.type = 'button';
    button.dataset.channel = room.channel;
    button.ariaCurrent = String(room === current);
    if (room.unread > 0) button.append(` (${room.unread})`);
    button.title = room.channel === client.channel ? '' : 'Press Delete to leave';
    button.onclick = () => { location.hash = room.channel === client.channel ? '' : encodeURIComponent(nameOf(room.channel)); };
    button.onkeydown = event => { if (event.key === 'Delete' && room.channel !== client.channel) leave(room); };
    line.append(button);
    return line;
  }));
  if (focused !== undefined) [...$('rooms').querySelectorAll('button')].find(each => each.dataset.channel === focused)?.focus();
}

function paintPeople() {
  const people = current?.people;
  $('people').hidden = !people;
  if (!people) return;
  const who = people.map(({ user }) => user === client.user ? 'you' : names.get(user) ?? (user.startsWith('guest-') ? 'a guest' : user));
  const shown = who.slice(0, 8).join(', ') + (who.length > 8 ? ` and ${who.length - 8} more` : '');
  $('people').textContent = `${people.length} here: ${shown}`;
}

const counts = new Map();       // rooms to be counted again soon: many may come at the same time
function moved({ channel }) {
  const room = rooms.get(channel);
  if (!room || counts.has(channel)) return;
  counts.set(channel, setTimeout(() => { counts.delete(channel); count(room); }, 100));
}

// --- The connection ---

const client = new Client(root.dataset.endpoint);
let lostAt = 0, wasConnected = false, hasGap = false;   // lostAt in milliseconds since the epoch; 0: not lost
let tickTimer;

const meaning = {
  0: 'The server does not answer', 1001: 'The server is going away', 1006: 'The connection was lost',
  1008: 'The server closed the connection because of its rules', 1009: 'A message was too long for this server',
  1011: 'The server has a problem', 1012: 'The server restarts', 1013: 'The server is busy',
  3000: 'The server wants you to sign in', 3003: 'The server does not let you in', 3008: 'The server waited too long for this page',
};

client.addEventListener('message', ({ detail }) => received(detail));
client.addEventListener('join', ({ detail }) => moved(detail));
client.addEventListener('leave', ({ detail }) => moved(detail));
client.addEventListener('gap', ({ detail }) => {
  hasGap = true;
  const room = rooms.get(detail.channel);
  if (!room || room.loading) return;
  room.loading = [];
  load(room);                   // what the server still has
});
client.addEventListener('left', ({ detail }) => {
  const room = rooms.get(detail.channel);
  if (room) show({ kind: 'note', text: `You are no longer in this room: ${detail.reason}.` }, room);
});
client.addEventListener('lost', ({ detail: { code, reason, wasConnected: opened } }) => {
  if (lostAt) return;
  lostAt = Date.now();
  const words = opened ? meaning[code] ?? 'The server closed the connection' : 'The server cannot be reached';
  const news = reason && !words.toLowerCase().includes(reason.toLowerCase());
  note(`${words}${news ? `: “${reason}”` : ''}${code > 0 && code !== 1006 ? ` (code ${code})` : ''}.`);
});
client.addEventListener('state', ({ detail }) => {
  if (detail.state === 'connected') connected();
  paintState();
});

function connected() {
  if (!wasConnected) {
    let before = [];
    try { before = JSON.parse(recall('sessionStorage', 'wsd.rooms') ?? '[]'); } catch { /* none */ }
    if (client.channel !== undefined) enter(client.channel);
    for (const name of before) enter(channelOf(String(name)));
    go();
  } else {
    for (const room of rooms.values()) if (room.people) count(room);
  }
  if (lostAt && wasConnected) {
    const time = `Connected again after ${Math.ceil((Date.now() - lostAt) / 1000)} s.`;
    // Gaps in rooms other than the endpoint's own become known with the answers to their joins.
    note(hasGap ? `${time} What others wrote meanwhile may be missing.` : time);
  } else if (lostAt) note('Connected.');
  wasConnected = true;
  hasGap = false;
  lostAt = 0;
}

const stateWords = {
  connecting: 'Connecting', connected: 'Connected', reconnecting: 'Reconnecting', offline: 'Offline', refused: 'Not connected',
};

/** Screen readers speak the status, so it changes only with the state; the seconds are shown beside it. */
function paintState() {
  const isRefused = client.state === 'refused';
  const state = client.state !== 'connected' && !isRefused && !navigator.onLine ? 'offline' : client.state;
  root.dataset.state = state;
  const words = stateWords[state];
  if ($('status').textContent !== words) $('status').textContent = words;

  const outage = $('outage'), seconds = Math.ceil((client.retryAt - Date.now()) / 1000);
  const brief = Date.now() - lostAt < 1000 && seconds < 2;    // a blink is not worth a word
  const visible = isRefused || state === 'offline' || (state === 'reconnecting' && !brief);
  if (!visible && document.activeElement === $('retry')) textField.focus();
  outage.hidden = !visible;
  const next = client.retryAt && seconds > 0 ? `Reconnecting in ${seconds} s.` : 'Reconnecting…';
  const outlook = isRefused ? 'Not connected.' : state === 'offline' ? `No network. ${next}` : next;
  $('outlook').textContent = `${outlook} What you write waits here until then.`;
  clearTimeout(tickTimer);
  if (state !== 'connected' && !isRefused) tickTimer = setTimeout(paintState, 250);
  if (following) toBottom();
}

$('retry').addEventListener('click', () => client.connect());
window.addEventListener('offline', paintState);
window.addEventListener('online', paintState);
window.addEventListener('hashchange', go);
document.addEventListener('visibilitychange', () => {
  if (document.hidden) return;
  unseen = 0;
  document.title = 'wsd chat';
});

// --- Writing ---

const guest = recall('sessionStorage', 'wsd.guest') ?? `Guest ${100 + Math.floor(Math.random() * 900)}`;
remember('sessionStorage', 'wsd.guest', guest);
nameField.placeholder = guest;
nameField.value = recall('localStorage', 'wsd.name') ?? '';
nameField.addEventListener('change', () => remember('localStorage', 'wsd.name', tidy(nameField.value)));

const form = $('write');
form.addEventListener('submit', event => {
  event.preventDefault();
  const written = textField.value.trim();
  textField.focus();
  if (!written) return;
  textField.value = '';
  post({ room: current?.channel ?? null, name: tidy(nameField.value) || guest, text: written, id: randomID() });
});
textField.addEventListener('keydown', event => {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  form.requestSubmit();
});

$('enter').addEventListener('submit', event => {
  event.preventDefault();
  const name = tidy($('room').value);
  $('room').value = '';
  if (!name) return;
  location.hash = name === client.channel ? '' : encodeURIComponent(name);
  textField.focus();
});

// --- Start ---

$('host').textContent = location.host;
client.connect();
paintState();
try {
  for (const { room, name, text, id } of JSON.parse(recall('sessionStorage', 'wsd.outbox') ?? '[]')) post({ room, name, text, id });
} catch { /* an outbox that can't be read is no outbox */ }
if (!matchMedia('(pointer: coarse)').matches) textField.focus();   // on a phone it would raise the keyboard
