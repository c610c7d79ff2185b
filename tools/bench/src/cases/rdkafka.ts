import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import type { BenchCase, BenchContext, Figures } from '../bench-case.ts'
import { cpuPerGb, undisturbed } from '../measure.ts'
import { type RunResult, run } from '../run.ts'
import { createTopic, deleteTopic, type Variant } from '../variant.ts'

/** Debian's build dependencies of librdkafka and its example programs. */
const needs = 'build-essential zlib1g-dev libssl-dev libzstd-dev liblz4-dev libsasl2-dev libcurl4-openssl-dev'

/**
 * librdkafka's own load program, which no binary package has: built once from Debian's source package. The lightest client here,
 * so the broker is the limit and not the client.
 */
async function rdkafkaPerformance(work: string): Promise<{ program: string; library: string }> {
  const directory = join(work, 'librdkafka')
  mkdirSync(directory, { recursive: true })
  const source = () =>
    readdirSync(directory, { withFileTypes: true }).find(
      (entry) => entry.isDirectory() && /^librdkafka-/.test(entry.name),
    )
  if (!source()) await fetchSource(directory)
  const tree = join(directory, source()?.name ?? '')
  const program = join(tree, 'examples/rdkafka_performance')
  if (!existsSync(program)) {
    const options = { directory: tree, timeoutMs: 1_200_000 }
    await run('./configure', ['--disable-regex-ext'], options).catch((cause) => {
      throw new Error(`librdkafka cannot be built; it wants: ${needs}`, { cause })
    })
    await run('make', [`-j${availableParallelism()}`, 'libs'], options)
    await run('make', ['-C', 'examples', 'rdkafka_performance'], options)
  }
  return { program, library: join(tree, 'src') }
}

/** apt's own sources with source packages switched on, in lists of their own, so that the machine's set-up stays as it is. */
async function fetchSource(directory: string): Promise<void> {
  const parts = join(directory, 'apt')
  mkdirSync(join(directory, 'lists/partial'), { recursive: true })
  mkdirSync(parts, { recursive: true })
  const configured = '/etc/apt/sources.list.d/debian.sources'
  if (existsSync(configured)) {
    writeFileSync(
      join(parts, 'debian.sources'),
      readFileSync(configured, 'utf8').replaceAll(/^Types:.*$/gm, 'Types: deb-src'),
    )
  } else {
    const lines = readFileSync('/etc/apt/sources.list', 'utf8').replaceAll(/^deb /gm, 'deb-src ')
    writeFileSync(join(parts, 'debian.list'), lines)
  }
  const settings = {
    'Dir::Etc::sourcelist': '/dev/null',
    'Dir::Etc::sourceparts': parts,
    'Dir::State::lists': join(directory, 'lists'),
    'Dir::Cache::pkgcache': '',
    'Dir::Cache::srcpkgcache': '',
  }
  const options = Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`])
  await run('apt-get', [...options, 'update', '-qq'], { directory })
  await run('apt-get', [...options, 'source', '-qq', 'librdkafka'], { directory })
}

interface Load {
  readonly sizeBytes: number
  readonly acks: number
  readonly codec: string
  readonly count: number
  /** How often that is done in a run. */
  readonly times: number
}

async function perform(
  work: string,
  mode: 'produce' | 'consume',
  { broker }: Variant,
  topic: string,
  load: Load,
): Promise<Figures> {
  const { program, library } = await rdkafkaPerformance(work)
  const args = {
    produce: [
      '-P',
      '-s',
      load.sizeBytes,
      '-a',
      load.acks,
      '-z',
      load.codec,
      '-X',
      'linger.ms=5',
      '-X',
      'queue.buffering.max.messages=500000',
    ],
    consume: ['-C', '-o', 'beginning', '-X', 'fetch.message.max.bytes=1048576', '-X', 'queued.min.messages=1000000'],
  }[mode]
  // To a cluster by its own partitioner: each node leads some of the records.
  const partition = broker.pids.length > 1 && mode === 'produce' ? [] : ['-p', 0]
  const all = [...args, '-t', topic, ...partition, '-c', load.count, '-b', broker.bootstrap, '-q', '-u']
  const once = () =>
    run(program, all, {
      environment: { LD_LIBRARY_PATH: library },
      // It takes an event in its queue at the end for a message that was not delivered, and ends with 1.
      succeeded: (outputs) => mode === 'produce' && rowsOf(outputs).some((fields) => Number(fields[5]) === load.count),
    })
  const count = load.count * load.times
  const bytes = count * load.sizeBytes
  const { result: elapsedMs, cpu } = await cpuPerGb(broker.pids, bytes, async () => {
    let totalMs = 0
    for (let time = 0; time < load.times; time++) totalMs += elapsedMsOf(await once())
    return totalMs
  })
  return { recordsPerSecond: (count * 1000) / elapsedMs, mbPerSecond: bytes / elapsedMs / 1000, ...cpu }
}

function elapsedMsOf(result: RunResult): number {
  const elapsedMs = Number(rowsOf(result).at(-1)?.[1])
  if (!(elapsedMs > 0)) throw new Error(`rdkafka_performance gave no figures:\n${result.stdout.slice(-1000)}`)
  return elapsedMs
}

/** The rows of its table: elapsed ms, messages, bytes, round trip, messages delivered, ... */
function rowsOf({ stdout, stderr }: RunResult): string[][] {
  const lines = `${stdout}\n${stderr}`.split('\n').filter((line) => /^\|\s*\d/.test(line))
  return lines.map((line) => line.split('|'))
}

/**
 * Bytes of values in a run: two or three seconds of work. A tenth of it would measure how long a client takes to get going, and a log
 * to take its first records.
 */
const producedBytes: Record<string, number> = {
  '100 none': 500e6,
  '100 lz4': 800e6,
  '1000 none': 1.2e9,
  '1000 lz4': 6e9,
}

/** What is read: the topics of both brokers must find room in the page cache, so a run may have to read its own several times. */
const consumed: Record<string, { bytes: number; times: number }> = {
  '100 none': { bytes: 500e6, times: 1 },
  '100 lz4': { bytes: 800e6, times: 1 },
  '1000 none': { bytes: 400e6, times: 4 },
  '1000 lz4': { bytes: 6e9, times: 1 },
}

export function rdkafkaCases(): BenchCase[] {
  const kinds = [
    { acks: 1, codec: 'none' },
    { acks: -1, codec: 'none' },
    { acks: -1, codec: 'lz4' },
  ]
  return [100, 1000].flatMap((sizeBytes) =>
    kinds.flatMap(({ acks, codec }) => {
      const kind = `${sizeBytes} ${codec}`
      const load = { sizeBytes, acks, codec, times: 1 }
      const produce = rdkafkaCase('produce', { ...load, count: producedBytes[kind]! / sizeBytes })
      // Reading does not depend on how the records were acknowledged.
      if (acks === 1) return [produce]
      const { bytes, times } = consumed[kind]!
      return [produce, rdkafkaCase('consume', { ...load, count: bytes / sizeBytes, times })]
    }),
  )
}

function rdkafkaCase(mode: 'produce' | 'consume', full: Load): BenchCase {
  return {
    group: `rdkafka_performance, ${mode}`,
    name: `${full.sizeBytes} B, ${full.codec}${mode === 'produce' ? `, acks=${full.acks === 1 ? '1' : 'all'}` : ''}`,
    variants: mode === 'produce' ? ['kafka', 'millrace-cached', 'millrace'] : ['kafka', 'millrace'],
    async prepare({ work, scale }: BenchContext, variant: Variant) {
      const topic = await createTopic(variant)
      const load = { ...full, count: Math.ceil(full.count * scale) }
      await perform(
        work,
        'produce',
        variant,
        topic,
        mode === 'produce' ? { ...load, count: Math.ceil(load.count / 4) } : { ...load, times: 1 },
      )
      if (mode === 'consume') await perform(work, mode, variant, topic, load)
      return {
        run: () => undisturbed(() => perform(work, mode, variant, topic, load)),
        dispose: () => deleteTopic(variant, topic),
      }
    },
  }
}
