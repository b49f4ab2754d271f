// The official MCP conformance suite, run against one server at one revision, with a verdict that a build can rely on.
// `usage` below is the manual. Start through the script `conformance`, which finds the right Node.
//
// Why not the suite's own exit code: it takes a scenario with no successful check for a pass, and with
// `--expected-failures` it fails on warnings. Here, as in the suite's tier check, a scenario passes with at least one
// success and no failure, and a warning is only reported.

import { execFile, spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { connect } from 'node:net';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';

import { isMap, isScalar, isSeq, LineCounter, parse, parseDocument } from 'yaml';

const usage = `usage: interop/conformance URL --requirements REV [options]

Runs the scenarios that the revision REV (2025-11-25, 2026-07-28) requires of a server against the one at URL.

  --requirements REV         the revision; one per run, as each has its own wire
  --scenario NAME[,NAME]     run only these, and judge them even where the revision does not
  --also NAME[,NAME]         run these unscored ones too, and show their failures
  --expected-failures FILE   failures that are known and why (see README.md); one that passes is an error
  --out DIR                  where results go (default: out/conformance-REV-HOST-PORT beside this script)
  --timeout MS               per scenario (default 30000)

DIR gets summary.json, suite.log (what the suite printed) and checks/ (the suite's own results, one folder per scenario).
Exit: 0 all judged scenarios passed or failed as expected; 1 not so; 2 it could not be run.`;

/** Something is wrong with the call or the machine, not with the server under test. */
class SetupError extends Error {}

const here = path.dirname(fileURLToPath(import.meta.url));
const suiteRoot = path.dirname(createRequire(import.meta.url).resolve('@modelcontextprotocol/conformance/package.json'));
const suiteProgram = path.join(suiteRoot, 'dist', 'index.js');

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  console.error(`conformance: ${error.message}`);
  process.exitCode = 2;
}

async function main(argv) {
  const options = readOptions(argv);
  if (!options) {
    console.log(usage);
    return 0;
  }
  const requirements = await readRequirements(options.revision);
  const expected = await readExpectedFailures(options, requirements);
  await assertKnown([...options.scenarios, ...options.also], options.revision);
  await assertSomeoneListens(options.url);

  const started = Date.now();
  const results = await runSuite(options);
  const summary = {
    revision: options.revision,
    url: options.url.href,
    suite: JSON.parse(await readFile(path.join(suiteRoot, 'package.json'), 'utf8')).version,
    ...judge(results, requirements, expected, options),
    durationMs: Date.now() - started,
  };
  const file = path.join(options.out, 'summary.json');
  await writeFile(file, `${JSON.stringify(summary, null, 2)}\n`);
  print(summary, options, file);
  return summary.ok ? 0 : 1;
}

// ---- what is asked for ---------------------------------------------------------------------------------------------

function readOptions(argv) {
  let parsed;
  try {
    parsed = parseArgs({
      args: argv,
      allowPositionals: true,
      options: {
        requirements: { type: 'string' },
        scenario: { type: 'string', multiple: true },
        also: { type: 'string', multiple: true },
        'expected-failures': { type: 'string' },
        out: { type: 'string' },
        timeout: { type: 'string', default: '30000' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    throw new SetupError(`${error.message}\n\n${usage}`);
  }
  const { values, positionals } = parsed;
  if (values.help) return undefined;
  if (positionals.length !== 1) throw new SetupError(`expected one URL, got ${positionals.length}\n\n${usage}`);
  if (!values.requirements) throw new SetupError(`--requirements REV is missing\n\n${usage}`);

  const timeout = Number(values.timeout);
  if (!Number.isInteger(timeout) || timeout <= 0)
    throw new SetupError(`--timeout ${values.timeout} is not a number of milliseconds`);

  const url = readUrl(positionals[0]);
  const revision = values.requirements;
  return {
    url,
    revision,
    timeout,
    scenarios: names(values.scenario),
    also: names(values.also),
    expectedFailures: values['expected-failures'],
    out: path.resolve(values.out ?? path.join(here, 'out', `conformance-${revision}-${url.host.replace(/[^\w.]/g, '-')}`)),
  };
}

function names(lists = []) {
  return [...new Set(lists.flatMap((list) => list.split(',')).filter(Boolean))];
}

function readUrl(text) {
  let url;
  try {
    url = new URL(text);
  } catch {
    throw new SetupError(`'${text}' is not a URL`);
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw new SetupError(`'${text}' is not an http or https URL`);
  return url;
}

/** The frozen set of one revision: which server scenarios count, and which only run. */
async function readRequirements(revision) {
  const folder = path.join(suiteRoot, 'requirements');
  const revisions = (await readdir(folder)).map((name) => path.parse(name).name).sort();
  if (!revisions.includes(revision)) {
    throw new SetupError(`there are no requirements for '${revision}', only for ${revisions.join(' and ')}`);
  }
  const set = parse(await readFile(path.join(folder, `${revision}.yaml`), 'utf8'));
  return {
    scored: new Set(set.server),
    unscored: new Map(set.not_scored.filter(({ leg }) => leg === 'server').map(({ scenario, reason }) => [scenario, reason])),
  };
}

/** The suite runs a scenario of another era on this era's wire if it is told to, and that says nothing. */
async function assertKnown(scenarios, revision) {
  if (scenarios.length === 0) return;
  const listing = await promisify(execFile)(process.execPath, [suiteProgram, 'list', '--server']);
  const known = new Map(
    [...listing.stdout.matchAll(/^ *- (\S+) \[(.*)\]$/gm)].map(([, name, versions]) => [name, versions.split(',')]),
  );
  for (const name of scenarios) {
    const versions = known.get(name);
    if (!versions) throw new SetupError(`the suite has no server scenario '${name}'`);
    if (!versions.includes(revision) && !versions.includes('extension')) {
      throw new SetupError(`the scenario '${name}' is not for ${revision}, only for ${versions.join(', ')}`);
    }
  }
}

// ---- expected failures ---------------------------------------------------------------------------------------------

/**
 * The suite's own format (`server:` with entries `scenario` or `scenario:check-id`), and on top of it a `revision:` and
 * a reason for each entry, as a comment that begins with `reason:` beside it or right above it. The suite ignores both.
 */
async function readExpectedFailures({ expectedFailures: file, revision }, { scored }) {
  if (!file) return [];
  let source;
  try {
    source = await readFile(file, 'utf8');
  } catch (error) {
    throw new SetupError(`cannot read the expected failures: ${error.message}`);
  }
  const lineCounter = new LineCounter();
  const document = parseDocument(source, { lineCounter });
  const at = (node) => (node?.range ? lineCounter.linePos(node.range[0]).line : 1);
  const refuse = (node, problem) => {
    throw new SetupError(`${file}:${at(node)}: ${problem}`);
  };
  if (document.errors.length > 0) throw new SetupError(`${file}: ${document.errors[0].message}`);
  if (!isMap(document.contents)) refuse(undefined, "expected the keys 'revision' and 'server'");
  for (const { key } of document.contents.items) {
    if (key.value !== 'revision' && key.value !== 'server') refuse(key, `unknown key '${key.value}'`);
  }
  const forRevision = document.get('revision', true);
  if (forRevision?.value !== revision) {
    refuse(forRevision, `'revision' must be ${revision}, as --requirements is; keep one file per revision`);
  }
  const list = document.get('server', true);
  if (list === undefined || (isScalar(list) && list.value === null)) return [];
  if (!isSeq(list)) refuse(list, "'server' must be a list");

  const lines = source.split(/\r?\n/);
  const entries = [];
  for (const item of list.items) {
    const entry = isScalar(item) && typeof item.value === 'string' ? item.value : undefined;
    if (!entry) refuse(item, "an entry is 'scenario' or 'scenario:check-id', with no space after the colon");
    const colon = entry.indexOf(':');
    const scenario = colon < 0 ? entry : entry.slice(0, colon);
    const check = colon < 0 ? undefined : entry.slice(colon + 1);
    if (!scored.has(scenario))
      refuse(item, `${revision} does not score a scenario '${scenario}', so it cannot be expected to fail`);
    if (check === '') refuse(item, 'the check id after the colon is missing');
    if (entries.some((other) => at(item) === other.line)) refuse(item, 'one entry per line, so that each has its own reason');
    if (entries.some((other) => other.scenario === scenario && (other.check === check || !other.check || !check))) {
      refuse(item, `'${scenario}' is already covered by an entry above`);
    }
    const reason = reasonFor(lines, at(item) - 1);
    if (!reason) refuse(item, `'${entry}' has no reason; write '# reason: ...' beside it or right above it`);
    entries.push({ entry, scenario, check, reason, line: at(item) });
  }
  return entries;
}

function reasonFor(lines, index) {
  const begin = /^\s*#\s*reason:\s*(\S.*)$/;
  const beside = /\s#\s*reason:\s*(\S.*)$/.exec(lines[index]);
  if (beside) return beside[1].trim();
  // Comment lines right above; the reason may run over several.
  const text = [];
  for (let i = index - 1; i >= 0 && /^\s*#/.test(lines[i]); i--) {
    const first = begin.exec(lines[i]);
    text.unshift(first ? first[1].trim() : lines[i].replace(/^\s*#\s*/, '').trim());
    if (first) return text.join(' ');
  }
  return undefined;
}

// ---- running -------------------------------------------------------------------------------------------------------

/** Otherwise a server that never started looks like one that fails every scenario. */
async function assertSomeoneListens(url) {
  const port = Number(url.port) || (url.protocol === 'https:' ? 443 : 80);
  await new Promise((resolve, reject) => {
    const socket = connect({ host: url.hostname.replace(/^\[|\]$/g, ''), port });
    const refuse = (why) => {
      socket.destroy();
      reject(new SetupError(`nothing answers at ${url.href}: ${why}`));
    };
    socket.setTimeout(5000, () => refuse('no connection within 5 s'));
    socket.once('error', (error) => refuse(error.code ?? error.message));
    socket.once('connect', () => {
      socket.destroy();
      resolve();
    });
  });
}

/** Resolves to the checks of each scenario that ran, by its name. */
async function runSuite({ url, revision, scenarios, also, out, timeout }) {
  const checks = path.join(out, 'checks');
  await mkdir(checks, { recursive: true });
  // The suite writes `server-NAME-TIME`; those of an earlier run would be counted again.
  for (const name of await readdir(checks)) {
    if (name.startsWith('server-')) await rm(path.join(checks, name), { recursive: true });
  }
  const log = createWriteStream(path.join(out, 'suite.log'));
  const suite = (...which) => runSuiteOnce(log, ['server', '--url', url.href, ...which, '--timeout', `${timeout}`, '-o', checks]);

  if (scenarios.length === 0) await suite('--requirements', revision);
  const ran = await readResults(checks);
  for (const name of new Set([...scenarios, ...also])) {
    // Forced, because extensions are on no revision's timeline; `assertKnown` has kept the senseless ones out.
    if (!ran.has(name)) await suite('--scenario', name, '--spec-version', revision, '--force');
  }
  await new Promise((resolve) => log.end(resolve));

  const results = await readResults(checks);
  if (results.size === 0) throw new SetupError(`the suite wrote no results; see ${path.join(out, 'suite.log')}`);
  return results;
}

function runSuiteOnce(log, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [suiteProgram, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    child.stdout.pipe(log, { end: false });
    child.stderr.pipe(log, { end: false });
    const stop = (signal) => {
      child.kill(signal);
      process.exit(2);
    };
    process.on('SIGINT', stop).on('SIGTERM', stop);
    child.once('error', (error) => reject(new SetupError(`the suite did not start: ${error.message}`)));
    // Its exit code is not asked: the results tell more.
    child.once('close', () => {
      process.off('SIGINT', stop).off('SIGTERM', stop);
      resolve();
    });
  });
}

async function readResults(folder) {
  const results = new Map();
  for (const name of await readdir(folder)) {
    const match = /^server-(.+)-\d{4}-\d\d-\d\dT[\d-]+Z$/.exec(name);
    if (!match) continue;
    let checks;
    try {
      checks = JSON.parse(await readFile(path.join(folder, name, 'checks.json'), 'utf8'));
    } catch {
      // The folder is made before the scenario runs; one that blew up leaves it empty.
      checks = [{ id: 'no-result', status: 'FAILURE', errorMessage: 'the scenario ended without writing its checks' }];
    }
    results.set(match[1], checks);
  }
  return results;
}

// ---- judging -------------------------------------------------------------------------------------------------------

function judge(results, { scored, unscored }, expected, { scenarios }) {
  const counted = scenarios.length > 0 ? scenarios : [...scored];
  const verdicts = counted.map((scenario) => ({ scenario, ...verdict(results.get(scenario)) }));

  const failed = verdicts
    .filter(({ failures }) => failures.length > 0)
    .map(({ scenario, failures }) => ({
      scenario,
      checks: failures,
      expected: failures.every(({ id }) =>
        expected.some((entry) => entry.scenario === scenario && (!entry.check || entry.check === id)),
      ),
    }));
  const stale = expected
    .filter(({ scenario }) => counted.includes(scenario))
    .filter(({ scenario, check }) => {
      const failure = failed.find((other) => other.scenario === scenario);
      return !failure || (check && !failure.checks.some(({ id }) => id === check));
    });

  const others = [...results.keys()].filter((name) => !counted.includes(name)).sort();
  const outcomes = others.map((scenario) => ({ scenario, ...verdict(results.get(scenario)) }));
  return {
    ok: stale.length === 0 && failed.every((failure) => failure.expected),
    passed: counted.length - failed.length,
    total: counted.length,
    failed,
    stale: stale.map(({ entry, reason }) => ({ entry, reason })),
    expected: expected.filter((entry) => !stale.includes(entry)).map(({ entry, reason }) => ({ entry, reason })),
    warnings: verdicts.flatMap(({ scenario, warnings }) => warnings.map((warning) => ({ scenario, ...warning }))),
    unscored: {
      passed: outcomes.filter(({ outcome }) => outcome === 'passed').length,
      total: outcomes.length,
      scenarios: Object.fromEntries(
        outcomes.map(({ scenario, outcome, failures, warnings }) => [
          scenario,
          { outcome, why: unscored.get(scenario) ?? 'not in the set', checks: outcome === 'failed' ? failures : [], warnings },
        ]),
      ),
    },
  };
}

/** A scenario that found nothing to check was `skipped`. Where it is scored that is a failure, hence `failures`. */
function verdict(checks) {
  if (!checks)
    return { outcome: 'failed', failures: [{ id: 'not-run', message: 'the suite did not run this scenario' }], warnings: [] };
  const failures = withStatus(checks, 'FAILURE');
  const warnings = withStatus(checks, 'WARNING');
  if (failures.length > 0) return { outcome: 'failed', failures, warnings };
  if (checks.some(({ status }) => status === 'SUCCESS')) return { outcome: 'passed', failures, warnings };
  return {
    outcome: 'skipped',
    failures: [{ id: 'no-success', message: 'the scenario ended without a successful check' }],
    warnings,
  };
}

/** A check id may come several times; the same words twice say nothing more. */
function withStatus(checks, wanted) {
  const found = new Map();
  for (const { id, status, errorMessage, description } of checks) {
    if (status === wanted) found.set(`${id}\0${errorMessage}`, { id, message: errorMessage ?? description ?? '' });
  }
  return [...found.values()];
}

// ---- saying it -----------------------------------------------------------------------------------------------------

function print(summary, { also }, file) {
  const lines = [
    `conformance ${summary.revision} of ${summary.url} (suite ${summary.suite}, ${(summary.durationMs / 1000).toFixed(1)} s)`,
  ];
  lines.push(`  scored      ${summary.passed}/${summary.total} passed`);
  for (const { scenario, checks, expected } of summary.failed) {
    lines.push(`    ${expected ? 'expected to fail' : 'FAILED'}  ${scenario}`, ...checks.map(detail));
  }
  for (const { entry, reason } of summary.stale) lines.push(`    PASSES, though expected to fail  ${entry}  (${reason})`);

  lines.push(`  warnings    ${summary.warnings.length}`);
  for (const { scenario, id, message } of summary.warnings) lines.push(detail({ id: `${scenario}:${id}`, message }));

  const asked = new Set(also);
  const unscored = Object.entries(summary.unscored.scenarios);
  if (unscored.length > 0) lines.push(`  not scored  ${summary.unscored.passed}/${summary.unscored.total} passed`);
  for (const outcome of ['failed', 'skipped']) {
    const named = unscored.filter(([name, scenario]) => scenario.outcome === outcome && !asked.has(name)).map(([name]) => name);
    if (named.length > 0) lines.push(`    ${outcome}  ${named.join(', ')}`);
  }
  for (const [name, { outcome, checks, warnings }] of unscored) {
    if (asked.has(name)) lines.push(`    ${outcome}  ${name}`, ...checks.map(detail), ...warnings.map(detail));
  }
  const short = path.relative(process.cwd(), file);
  lines.push(`  ${summary.ok ? 'OK' : 'NOT OK'}  details in ${short.startsWith('..') ? file : short}`);
  console.log(lines.join('\n'));
}

function detail({ id, message }) {
  const flat = message.replace(/\s+/g, ' ').trim();
  return `      ${id}: ${flat.length > 400 ? `${flat.slice(0, 400)} ...` : flat}`;
}
