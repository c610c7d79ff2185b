/** Kafka Streams counts words exactly once while leaders are killed: see `help`. */
import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { commitOf } from '../harness/commit.ts'
import { places } from '../harness/places.ts'
import { runWordCount } from './run-word-count.ts'

const help = `npm run e2e:streams -- [options]

A word count with Kafka Streams (Java, processing.guarantee=exactly_once_v2, two processes) on three nodes on this machine. A leader of some
partition is killed again and again (SIGKILL) and comes back. In the end every word of every line must have been counted exactly once: the
output shows each step, and must be 1, 2, 3, … for each word.

  --minutes N  how long lines are sent and leaders killed (5)
  --every N    seconds from one kill to the next (10)
  --rate N     lines in a second (100)
  --seed N     of the lines and of whom is killed; without it, another each time
  --record     adds the result to docs/streams.jsonl

Exit code: 0 counted exactly once, 1 not, 2 called wrongly. With E2E_KAFKA (the folder of the Kafka peer's scripts) it is three nodes of
Apache Kafka.`

const { values } = parseArgs({
  options: {
    help: { type: 'boolean', short: 'h', default: false },
    minutes: { type: 'string', default: '5' },
    every: { type: 'string', default: '10' },
    rate: { type: 'string', default: '100' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    record: { type: 'boolean', default: false },
  },
})
const [minutes, every, rate, seed] = [values.minutes, values.every, values.rate, values.seed].map(Number)
const isWrong = [minutes, every, rate].some((value) => !(value! > 0)) || !Number.isInteger(seed)
if (values.help || isWrong) {
  console.log(help)
  process.exit(values.help ? 0 : 2)
}

const result = await runWordCount({
  seconds: minutes! * 60,
  killEveryMs: every! * 1000,
  linesPerSecond: rate!,
  instances: 2,
  seed: seed!,
  onPhase: (what) => console.error(`${Math.round(performance.now() / 1000)} s: ${what}`),
})
const { problems, ...figures } = result
const isGood = problems.length === 0
console.log(
  `${figures.leaderKills} kills of leaders; ${figures.lines} lines with ${figures.words} words, ${figures.counted} counted; ` +
    `${figures.replacedThreads} threads replaced; ${isGood ? 'all counted' : 'given up'} ${figures.drainMs} ms after the last line`,
)
for (const problem of problems) console.log(`FAILED ${problem}`)
if (isGood) console.log('every word was counted exactly once')
if (values.record) {
  const head = { date: new Date().toISOString().slice(0, 10), commit: commitOf() }
  const line = { ...head, minutes, everySeconds: every, seed, isGood, ...figures, problems: problems.length }
  appendFileSync(join(places.root, 'docs/streams.jsonl'), `${JSON.stringify(line)}\n`)
}
process.exitCode = isGood ? 0 : 1
