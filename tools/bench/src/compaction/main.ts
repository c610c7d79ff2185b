import { readdirSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { type Broker, startKafka, startMillrace } from '../broker.ts'
import { produceError, produceFrame } from '../frames.ts'
import { percentile } from '../percentile.ts'
import { cpuBetween, cpuSecondsOf, residentMemory } from '../process-stats.ts'
import { createTopicWith, setTopicConfigs } from '../variant.ts'
import { Wire } from '../wire.ts'
import { checkTopic, fillTopic, type KeyedLog } from './keyed-log.ts'

const root = join(import.meta.dirname, '../../../..')

const help = `node tools/bench/src/compaction/main.ts [options]

Fills a topic, turns compaction on, and measures while it is compacted: memory, the latency of appends to another topic with and without,
CPU time for each GB of log. In the end every record is read and held against what was written, key by key.

  --gib N          size of the topic (10)
  --keys N         different keys in it (1000000)
  --segment-mib N  size of its segments (1024)
  --seconds N      how long appends are measured without compaction (30)
  --brokers A,B    of millrace, kafka (both)
  --peers DIR      scripts of the Kafka peer (../shared/peers)
  --work DIR       data (~/.cache/millrace-bench)
  --limit-minutes N  a compaction that takes longer fails (60)
`

const VALUE_BYTES = 1000
/** The same for both: cleaned soon, noted soon. All else is as it comes, 128 MiB for keys among it. */
const SETTINGS = ['log.cleaner.backoff.ms=500', 'log.flush.offset.checkpoint.interval.ms=1000']

const { values } = parseArgs({
  options: {
    help: { type: 'boolean', short: 'h', default: false },
    gib: { type: 'string', default: '10' },
    keys: { type: 'string', default: '1000000' },
    'segment-mib': { type: 'string', default: '1024' },
    seconds: { type: 'string', default: '30' },
    brokers: { type: 'string', default: 'millrace,kafka' },
    peers: { type: 'string', default: join(root, '../shared/peers') },
    work: { type: 'string', default: join(homedir(), '.cache/millrace-bench') },
    'limit-minutes': { type: 'string', default: '60' },
  },
})
if (values.help) {
  console.log(help)
  process.exit(0)
}

interface Latency {
  readonly count: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
}

/** Appends of one record after the other, each acknowledged by all, until `isOver`. */
async function probeAppends(port: number, topic: string, isOver: () => boolean): Promise<Latency> {
  const wire = new Wire(port)
  const frame = produceFrame(topic, -1, 100)
  const timesMs: number[] = []
  while (!isOver()) {
    const startMs = performance.now()
    const error = produceError(await wire.ask(frame))
    if (error !== 0) throw new Error(`produce: error ${error}`)
    timesMs.push(performance.now() - startMs)
    await delay(2)
  }
  wire.close()
  timesMs.sort((left, right) => left - right)
  const at = (share: number) => percentile(timesMs, share)
  return { count: timesMs.length, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) }
}

/** What the broker has noted: up to where the topic is compacted. */
function cleanedOffset(directory: string, topic: string): number {
  const names = readdirSync(directory, { recursive: true, encoding: 'utf8' })
  const name = names.find((one) => one.endsWith('cleaner-offset-checkpoint'))
  if (name === undefined) return 0
  const line = readFileSync(join(directory, name), 'utf8')
    .split('\n')
    .find((one) => one.startsWith(`${topic} 0 `))
  return line === undefined ? 0 : Number(line.split(' ')[2])
}

/** Where the active segment of the topic begins. */
function activeBaseOf(directory: string, topic: string): number {
  const names = readdirSync(directory, { recursive: true, encoding: 'utf8' })
  const logs = names.filter((one) => one.includes(`${topic}-0/`) && one.endsWith('.log')).sort()
  return Number.parseInt(logs.at(-1)!.split('/').at(-1)!, 10)
}

async function measure(kind: 'millrace' | 'kafka', log: KeyedLog): Promise<Record<string, unknown>> {
  const directory = join(resolve(values.work), `compaction-${kind}-${process.pid}`)
  const start =
    kind === 'kafka' ? startKafka(resolve(values.peers), directory, SETTINGS) : startMillrace(root, directory, SETTINGS)
  const broker: Broker = await start
  try {
    const kept = {
      'retention.ms': '-1',
      'file.delete.delay.ms': '1000',
      'segment.bytes': String(Math.min(2 ** 31 - 1, Number(values['segment-mib']) * 2 ** 20)),
    }
    const topic = await createTopicWith(broker, { ...kept, 'cleanup.policy': 'delete' })
    const probed = await createTopicWith(broker, {})
    await fillTopic(broker.port, topic, log)
    // What the load left is written and synced before anything is measured.
    await delay(5_000)
    const quietEndMs = performance.now() + Number(values.seconds) * 1000
    const quietCpu = cpuSecondsOf(broker.pids)
    const without = await probeAppends(broker.port, probed, () => performance.now() >= quietEndMs)
    const quiet = cpuBetween(quietCpu, cpuSecondsOf(broker.pids))
    const memoryBefore = residentMemory(broker.pid).anonymousMb
    // The active segment stays as it is.
    const endOffset = activeBaseOf(directory, topic)
    if (!(endOffset > 0)) throw new Error('the topic has one segment only: there is nothing to compact')
    const compactedBytes = endOffset * VALUE_BYTES
    const cpuBefore = cpuSecondsOf(broker.pids)
    const startMs = performance.now()
    await setTopicConfigs(broker, topic, {
      ...kept,
      'cleanup.policy': 'compact',
      'min.cleanable.dirty.ratio': '0.01',
    })
    let isDone = false
    let memoryMost = 0
    const watched = (async () => {
      while (cleanedOffset(directory, topic) < endOffset) {
        memoryMost = Math.max(memoryMost, residentMemory(broker.pid).anonymousMb)
        if (performance.now() - startMs > Number(values['limit-minutes']) * 60_000) throw new Error('it takes too long')
        await delay(200)
      }
    })().finally(() => {
      isDone = true
    })
    const during = await probeAppends(broker.port, probed, () => isDone)
    await watched
    const seconds = (performance.now() - startMs) / 1000
    const spent = cpuBetween(cpuBefore, cpuSecondsOf(broker.pids))
    const probes = ((quiet.user + quiet.system) / Number(values.seconds)) * seconds
    const check = await checkTopic(broker.port, topic, log)
    return {
      kind,
      compactedGb: compactedBytes / 1e9,
      seconds,
      cpuSecondsPerGb: (spent.user + spent.system - probes) / (compactedBytes / 1e9),
      memoryBeforeMb: memoryBefore,
      memoryMostMb: memoryMost,
      appendsWithout: without,
      appendsDuring: during,
      p99Ratio: during.p99Ms / without.p99Ms,
      recordsLeft: check.recordCount,
      keysFound: check.keyCount,
    }
  } finally {
    await broker.stop()
  }
}

const log: KeyedLog = {
  recordCount: Math.ceil((Number(values.gib) * 2 ** 30) / VALUE_BYTES),
  keyCount: Number(values.keys),
  valueBytes: VALUE_BYTES,
}
for (const kind of values.brokers.split(',')) {
  if (kind !== 'millrace' && kind !== 'kafka') throw new Error(`there is no broker ${kind}`)
  console.log(JSON.stringify(await measure(kind, log)))
}
