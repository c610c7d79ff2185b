import { closeSync, mkdirSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import type { BenchCase, BenchContext, ResultRow } from './bench-case.ts'
import { type Broker, startKafka, startMillrace } from './broker.ts'
import { earlierRuns } from './earlier-runs.ts'
import { machineFacts } from './machine.ts'
import { machineLine, type PageMarks, readPage, resultTables, withFigures } from './report.ts'
import { runCase } from './rounds.ts'
import { stopRunning } from './run.ts'
import { parseVariants, type Variant, type VariantName } from './variant.ts'

const root = join(import.meta.dirname, '../../..')

/**
 * What makes a whole broker as durable as its variant says, the topics that its coordinators write to included: those have their settings
 * from the broker.
 */
const DURABILITY: Record<VariantName, readonly string[]> = {
  kafka: [],
  'kafka-flush': ['log.flush.interval.messages=1'],
  millrace: [],
  'millrace-cached': ['write.caching=true'],
}

const OPTIONS_HELP = `
  --quick           one round at a tenth of the size: only to see that everything runs
  --only TEXT       the cases whose title contains TEXT; may be repeated
  --rounds N        runs of each case and variant (3)
  --scale F         size of the loads as a factor (1)
  --variants A,B    of VARIANTS (all)
  --peers DIR       scripts of the Kafka peer (../shared/peers)
  --work DIR        data of the brokers, and what ours log (~/.cache/millrace-bench)
  --out FILE        one JSON object a run is appended to it
  --resume          takes the runs in --out as made, and does what is missing
  --markdown FILE   a page between whose marks the tables are written, after each case
`

/** A program that measures cases on brokers of its own. */
export interface SideBySide {
  /** What it is, without its options. */
  readonly help: string
  readonly marks: PageMarks
  readonly variants: readonly VariantName[]
  /** Settings that all brokers get, by the names that both kinds know. */
  readonly settings: readonly string[]
  /** Options of its own. */
  readonly options: Readonly<Record<string, { readonly type: 'string'; readonly default: string }>>
  cases(options: Readonly<Record<string, string>>): readonly BenchCase[]
  /** Much work in little time, and each way of working once: a JVM compiles for long, and a cold Kafka would flatter the ratios. */
  warmUp(context: BenchContext, variant: Variant): Promise<void>
}

const titleOf = ({ group, name }: BenchCase) => `${group} / ${name}`

/**
 * One broker for each variant, all running from the beginning to the end: while one works the others are idle. Takes the options of the
 * command line; prints the tables.
 */
export async function runSideBySide(bench: SideBySide): Promise<void> {
  const values = parse(bench)
  if (values === null) return
  const { markdown, only, out } = values
  if (markdown !== undefined) readPage(markdown, bench.marks)
  const rounds = Number(values.rounds ?? (values.quick ? 1 : 3))
  const wanted = parseVariants(values.variants, bench.variants)
  const work = resolve(values.work)
  const context: BenchContext = {
    ...{ root, work, peers: resolve(values.peers) },
    scratch: join(work, `scratch-${process.pid}`),
    scale: Number(values.scale ?? (values.quick ? 0.1 : 1)),
  }
  const cases = bench.cases(values.own)
  const rows: ResultRow[] = values.resume ? earlierRuns(out, cases, wanted, rounds) : []
  const isDone = ({ group, name }: BenchCase) => rows.some((row) => row.group === group && row.name === name)
  const isWanted = (one: BenchCase) => only.length === 0 || only.some((text) => titleOf(one).includes(text))
  const missing = cases.filter((one) => isWanted(one) && !isDone(one))
  mkdirSync(context.scratch, { recursive: true })
  const facts = await machineFacts(root, work)
  const figures = () => `${machineLine(facts, rounds, rows)}\n\n${resultTables(rows)}`
  const running = new Brokers(bench.settings, context)
  const failures: string[] = []
  try {
    const variants = missing.length === 0 ? [] : await running.start(wanted)
    if (!values.quick) for (const variant of variants) await bench.warmUp(context, variant)
    for (const one of missing) {
      try {
        await runCase(one, context, variants, rounds, { commit: facts.commit, file: out, rows })
      } catch (error) {
        // The other cases of a long run are not lost for it; its own figures are not shown as if they were whole.
        failures.push(titleOf(one))
        rows.splice(0, rows.length, ...rows.filter(({ group, name }) => group !== one.group || name !== one.name))
        console.error(`${titleOf(one)} failed:`, error)
      }
      // After each case: a long run that is stopped has not been in vain.
      if (markdown !== undefined)
        writeFileSync(markdown, withFigures(readPage(markdown, bench.marks), figures(), bench.marks))
    }
  } finally {
    await running.stop()
    rmSync(context.scratch, { recursive: true, force: true })
  }
  console.log(figures())
  if (failures.length === 0) return
  console.error(`failed: ${failures.join('; ')}`)
  process.exitCode = 1
}

function parse(bench: SideBySide) {
  const { values } = parseArgs({
    options: {
      help: { type: 'boolean', short: 'h', default: false },
      quick: { type: 'boolean', default: false },
      only: { type: 'string', multiple: true, default: [] },
      rounds: { type: 'string' },
      scale: { type: 'string' },
      variants: { type: 'string', default: bench.variants.join(',') },
      peers: { type: 'string', default: join(root, '../shared/peers') },
      work: { type: 'string', default: join(homedir(), '.cache/millrace-bench') },
      out: { type: 'string' },
      resume: { type: 'boolean', default: false },
      markdown: { type: 'string' },
      ...bench.options,
    },
  })
  if (values.help) {
    console.log(`${bench.help}${OPTIONS_HELP.replace('VARIANTS', bench.variants.join(', '))}`)
    return null
  }
  const all = values as typeof values & Readonly<Record<string, string>>
  const own = Object.fromEntries(Object.keys(bench.options).map((name) => [name, all[name]!]))
  return { ...values, own }
}

class Brokers {
  readonly #settings: readonly string[]
  readonly #context: BenchContext
  readonly #started: Broker[] = []

  constructor(settings: readonly string[], context: BenchContext) {
    this.#settings = settings
    this.#context = context
    // None may outlive a run that was interrupted.
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.once(signal, () => {
        stopRunning()
        this.stop().finally(() => process.exit(130))
      })
    }
  }

  async start(names: readonly VariantName[]): Promise<Variant[]> {
    const { root, peers, work } = this.#context
    const variants: Variant[] = []
    for (const name of names) {
      const settings = [...this.#settings, ...DURABILITY[name]]
      const directory = join(work, `${name}-${process.pid}`)
      // Kafka, too, writes its log to a file.
      const log = openSync(join(work, `${name}.log`), 'w')
      const starting = name.startsWith('kafka')
        ? startKafka(peers, directory, settings)
        : startMillrace(root, directory, settings, log)
      const broker = await starting.finally(() => closeSync(log))
      this.#started.push(broker)
      variants.push({ name, broker, topicConfigs: {} })
    }
    return variants
  }

  async stop(): Promise<void> {
    await Promise.all(this.#started.splice(0).map((broker) => broker.stop()))
  }
}
