// Somebody who approves, in a real Chromium: opens a page, says who they are, reads what is asked, and answers.
//
//   node approver.mjs URL KEY ANSWER FOLDER     ANSWER is approve or deny; pictures of each page go to FOLDER
//
// Speaks the DevTools protocol. Prints one JSON object: the text of each page, and what the browser complained of.

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const [url, key, answer, folder] = process.argv.slice(2);
const profile = mkdtempSync(join(tmpdir(), 'approver-'));
const flags = ['--headless=new', '--no-sandbox', '--disable-gpu', '--remote-debugging-port=0', '--window-size=900,1000'];
const browser = spawn(process.env.CHROMIUM ?? 'chromium', [...flags, `--user-data-dir=${profile}`, 'about:blank'], {
  stdio: ['ignore', 'ignore', 'pipe'],
  // A group of its own, so that its children end with it.
  detached: true,
});

/** Where it listens for us. */
const devtools = await new Promise((resolve, reject) => {
  let said = '';
  browser.stderr.on('data', (data) => {
    said += data;
    const found = said.match(/DevTools listening on ws:\/\/([^/]+)\//);
    if (found) resolve(`http://${found[1]}`);
  });
  browser.on('exit', () => reject(new Error(said)));
});

const [target] = (await (await fetch(`${devtools}/json`)).json()).filter(({ type }) => type === 'page');
const socket = new WebSocket(target.webSocketDebuggerUrl);
await new Promise((resolve) => socket.addEventListener('open', resolve, { once: true }));

const waiting = new Map();
const listeners = [];
const complaints = [];
let last = 0;
socket.addEventListener('message', ({ data }) => {
  const { id, method, params, result, error } = JSON.parse(data);
  if (id) waiting.get(id)(error ? Promise.reject(new Error(error.message)) : result);
  if (method === 'Log.entryAdded') complaints.push(params.entry.text);
  for (const listener of [...listeners]) if (listener.method === method) listener.heard();
});

const send = (method, params = {}) =>
  new Promise((resolve) => {
    waiting.set(++last, resolve);
    socket.send(JSON.stringify({ id: last, method, params }));
  });

/** Does something that leads to another page, and waits for that. */
async function leads(act) {
  const loaded = new Promise((heard) => {
    const listener = { method: 'Page.loadEventFired', heard: () => (listeners.splice(listeners.indexOf(listener), 1), heard()) };
    listeners.push(listener);
  });
  await act();
  await loaded;
}

const run = async (expression) => (await send('Runtime.evaluate', { expression, userGesture: true })).result.value;
const click = (selector) => leads(() => run(`document.querySelector(${JSON.stringify(selector)}).click()`));

const pages = [];
async function look(name) {
  pages.push(await run('document.body.innerText'));
  const { data } = await send('Page.captureScreenshot', { format: 'png' });
  writeFileSync(join(folder, `${name}.png`), Buffer.from(data, 'base64'));
}

try {
  await Promise.all(['Page.enable', 'Runtime.enable', 'Log.enable'].map((method) => send(method)));
  await leads(() => send('Page.navigate', { url }));
  await look('1-who');
  await run(`document.querySelector('#key').value = ${JSON.stringify(key)}`);
  await click('button.show');
  await look('2-asked');
  await click(`button.${answer}`);
  await look('3-answered');
  // Whether a page may run anything of its own.
  const scripts = await run('document.scripts.length');
  console.log(JSON.stringify({ pages, complaints, scripts, at: await run('location.href') }));
} catch (error) {
  console.log(JSON.stringify({ pages, complaints, error: String(error) }));
} finally {
  socket.close();
  const ended = new Promise((resolve) => browser.once('exit', resolve));
  process.kill(-browser.pid, 'SIGKILL');
  await ended;
  await removed(profile);
}

/** Removes the profile, to which children that are ending may still write: what came meanwhile is looked for again each time. */
async function removed(folder) {
  for (let tries = 0; tries < 50; tries++) {
    try {
      return rmSync(folder, { recursive: true, force: true });
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
