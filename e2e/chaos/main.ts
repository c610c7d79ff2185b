import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { commitOf } from '../harness/commit.ts'
import { places } from '../harness/places.ts'
import { safeProfile } from './checker/anomaly.ts'
import { checkHistory, type Verdict } from './checker/check-history.ts'
import { readHistory } from './history/history-file.ts'
import { type CommandOptions, commandOptions, help, UsageError } from './options.ts'
import { Progress } from './progress.ts'
import { chaosPage } from './report/page.ts'
import { type Promised, promisesOf, testReport } from './report/promises.ts'
import { acceptedText, type RunSummary, summaryOf } from './report/summary.ts'
import { runChaos } from './run-chaos.ts'

/** `npm run chaos`: see `options.ts` for what it understands and how it exits. */

/** Ctrl-C ends a run in order, with the verdict on what was done until then; a second one ends it at once. */
function stopOnSignals(): AbortSignal {
  const controller = new AbortController()
  let firstMs = 0
  const stop = () => {
    if (controller.signal.aborted) {
      // npm hands a Ctrl-C on to those who got it themselves.
      if (performance.now() - firstMs > 1000) process.exit(130)
      return
    }
    firstMs = performance.now()
    console.error('\nstopping: what was done is healed, read back and judged (once more: at once, without)')
    controller.abort()
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
  return controller.signal
}

async function run(options: CommandOptions): Promise<number> {
  const { system, nodes, seconds, faults, faultNames, seed, ratePerSecond, gapMs, holdShare } = options
  const signal = stopOnSignals()
  const directory = mkdtempSync(join(tmpdir(), 'millrace-chaos-'))
  const progress = new Progress(process.stderr)
  const head = {
    system: system.name,
    date: new Date().toISOString().slice(0, 10),
    commit: commitOf(),
    seed,
    nodes,
    seconds,
    faults: faultNames,
  }
  console.log(`chaos: ${nodes} nodes of ${system.name}, ${seconds} s of ${faultNames}, seed ${seed}`)
  const result = await runChaos({
    system,
    nodeCount: nodes,
    seconds,
    faults,
    seed,
    ratePerSecond,
    gapMs,
    holdShare,
    directory,
    signal,
    onProgress: (done, total, note) => progress.show(done, total, note),
    onPhase: (what) => progress.tell(what),
  }).finally(() => progress.end())
  const summary = summaryOf(head, result)
  const isKept = options.isKept || !summary.isGood
  const page = options.page ?? (isKept ? join(directory, 'chaos.html') : null)
  if (page !== null) writeFileSync(page, chaosPage(summary, result))
  tell(summary, result.verdict, result.problems)
  if (page !== null) console.log(`page: ${page}`)
  if (isKept)
    console.log(
      `history and logs: ${directory}\nagain: npm run chaos -- --seed ${seed} --nodes ${nodes} --faults ${faultNames}`,
    )
  else rmSync(directory, { recursive: true, force: true })
  if (options.isRecorded) appendFileSync(join(places.root, 'docs/chaos.jsonl'), `${JSON.stringify(summary)}\n`)
  const promises = promisesOf(summary, result.verdict, result.problems)
  if (process.env.TEST_REPORT) writeFileSync(process.env.TEST_REPORT, JSON.stringify(testReport(promises)))
  if (options.isCi) for (const promised of promises) tellPromised(promised)
  console.log(`${summary.operations} operations judged`)
  const exitCode = exitCodeOf(summary, result.verdict, result.problems)
  // CI wants all of it, and a run that asked too little is no pass there.
  return options.isCi && exitCode === 0 && promises.some(({ broken }) => broken.length > 0) ? 3 : exitCode
}

function tellPromised({ name, broken }: Promised): void {
  console.log(broken.length === 0 ? `ok      ${name}` : `FAILED  ${name}: ${broken.join('; ')}`)
}

function exitCodeOf({ anomalies, isStopped }: RunSummary, { invalid }: Verdict, problems: readonly string[]): number {
  if (Object.keys(anomalies).length > 0 || problems.length > 0) return 1
  if (isStopped) return 130
  return invalid.length > 0 ? 3 : 0
}

/** For people: what was done, what it did to clients, what was found. */
function tell(summary: RunSummary, verdict: Verdict, problems: readonly string[]): void {
  const faults = Object.entries(summary.faultCounts).map(([name, count]) => `${name} ${count}`)
  console.log(`faults: ${faults.join(', ') || 'none'}; ${summary.leaderKills} kills of leaders`)
  console.log(
    `records: ${summary.acknowledged} acknowledged, ${summary.unknown} of unknown outcome; to the acknowledgement p50 ${summary.sendP50Ms} ms, p99 ${summary.sendP99Ms} ms`,
  )
  console.log(
    `transactions: ${summary.committed} committed, ${summary.aborted} not, ${summary.unsure} of unknown outcome; ${summary.processed} records processed in them`,
  )
  console.log(
    `shares: ${acceptedText(summary)}, ${summary.redelivered} deliveries after the first, ${summary.exhausted} last ones`,
  )
  if (summary.recoveryP50Ms !== null)
    console.log(
      `after kills written again within: p50 ${summary.recoveryP50Ms} ms, p99 ${summary.recoveryP99Ms} ms, longest ${summary.recoveryMaxMs} ms`,
    )
  tellVerdict(verdict)
  for (const problem of problems) console.log(`FAILED ${problem}`)
}

function tellVerdict({ found, examples, invalid }: Verdict): void {
  for (const { kind, count, isAllowed } of found)
    console.log(`${isAllowed ? 'seen, and no promise broken' : 'FAILED'}: ${kind}, ${count} times`)
  const bad = new Set(found.filter(({ isAllowed }) => !isAllowed).map(({ kind }) => kind))
  for (const { kind, message } of examples) if (bad.has(kind)) console.log(`  ${kind}: ${message}`)
  for (const reason of invalid) console.log(`the run says nothing: ${reason}`)
}

/** Judges a history by the strongest promises; what its faults allowed is for the reader to know. */
function checkAgain(path: string): number {
  const { history } = readHistory(readFileSync(path, 'utf8'))
  const verdict = checkHistory(history, safeProfile)
  tellVerdict(verdict)
  console.log(`${history.operations.length} operations: ${verdict.isGood ? 'nothing wrong' : 'see above'}`)
  if (verdict.isGood) return 0
  return verdict.found.some(({ isAllowed }) => !isAllowed) ? 1 : 3
}

async function main(): Promise<number> {
  const options = commandOptions(process.argv.slice(2), Date.now() % 1_000_000)
  if (options.isHelp) {
    console.log(help())
    return 0
  }
  return options.check === null ? run(options) : checkAgain(options.check)
}

try {
  process.exitCode = await main()
} catch (error) {
  const isUsage = error instanceof UsageError || (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS')
  console.error(isUsage ? `${(error as Error).message}\n\n${help()}` : error)
  process.exitCode = isUsage ? 2 : 1
  if (!isUsage && process.env.TEST_REPORT) {
    const promised = { name: 'A run of chaos comes to its end', broken: [String(error)] }
    writeFileSync(process.env.TEST_REPORT, JSON.stringify(testReport([promised])))
  }
}
