import { parseArgs } from 'node:util'
import { kafka } from './cluster/kafka.ts'
import { millrace } from './cluster/millrace.ts'
import type { System } from './cluster/system.ts'
import { type Fault, families } from './faults/fault.ts'
import { allFaults } from './faults/index.ts'

/** A mistake of whoever typed the command. */
export class UsageError extends Error {}

export interface CommandOptions {
  readonly isHelp: boolean
  readonly system: System
  readonly nodes: number
  readonly seconds: number
  readonly faults: readonly Fault[]
  /** As they were asked for. */
  readonly faultNames: string
  readonly seed: number
  readonly ratePerSecond: number
  readonly gapMs: number
  /** Of the time that faults usually last. */
  readonly holdShare: number
  readonly isCi: boolean
  /** Where the page goes; null: beside the history of a run that failed, else nowhere. */
  readonly page: string | null
  readonly isRecorded: boolean
  /** The history and the logs of a good run stay, too. */
  readonly isKept: boolean
  /** A history that is checked again, in place of a run. */
  readonly check: string | null
}

const systems: readonly System[] = [millrace, kafka]

/**
 * What CI runs: many short faults, always dealt in the same order, and none that needs privileges, so that two runs ask the same. With the
 * start of the cluster and of the clients, and with the final read, it takes some three minutes. Of this seed kills of all kinds, what can
 * happen to clients, a pause, a cut and a change of voters are among the first dozen, and the rolling restart, which takes longest, comes
 * after them.
 */
const ci = {
  seconds: 100,
  faults: 'kill,pause,network,rolling,membership,client',
  seed: 126_550,
  gapMs: 400,
  holdShare: 0.4,
}

const options = {
  help: { type: 'boolean', short: 'h', default: false },
  ci: { type: 'boolean', default: false },
  minutes: { type: 'string' },
  faults: { type: 'string' },
  seed: { type: 'string' },
  nodes: { type: 'string' },
  rate: { type: 'string' },
  gap: { type: 'string' },
  hold: { type: 'string' },
  out: { type: 'string' },
  record: { type: 'boolean', default: false },
  keep: { type: 'boolean', default: false },
  system: { type: 'string' },
  check: { type: 'string' },
} as const

/** Throws {@link UsageError}, or what `parseArgs` throws for options that it does not know. */
export function commandOptions(args: readonly string[], randomSeed: number): CommandOptions {
  const { values } = parseArgs({ args: [...args], options, allowPositionals: false })
  const nodes = numberOf('nodes', values.nodes ?? '3')
  if (![1, 3, 5].includes(nodes)) throw new UsageError(`--nodes ${nodes}: a cluster here has 1, 3 or 5 nodes`)
  const systemName = values.system ?? 'millrace'
  const system = systems.find(({ name }) => name === systemName)
  if (system === undefined) throw new UsageError(`--system ${systemName}: there are ${listed(systems)}`)
  const faultNames = values.faults ?? (values.ci ? ci.faults : 'all')
  return {
    isHelp: values.help,
    system,
    nodes,
    seconds: values.ci ? ci.seconds : numberOf('minutes', values.minutes ?? '5') * 60,
    faults: faultsOf(faultNames, nodes),
    faultNames,
    seed: Math.trunc(numberOf('seed', values.seed ?? String(values.ci ? ci.seed : randomSeed))),
    ratePerSecond: numberOf('rate', values.rate ?? '100'),
    gapMs: numberOf('gap', values.gap ?? String(values.ci ? ci.gapMs : 2000)),
    holdShare: numberOf('hold', values.hold ?? String(values.ci ? ci.holdShare : 1)),
    isCi: values.ci,
    page: values.out ?? null,
    isRecorded: values.record,
    isKept: values.keep,
    check: values.check ?? null,
  }
}

/** Those of the families and names in a list by commas that a cluster of that size can have. */
function faultsOf(text: string, nodes: number): Fault[] {
  if (text === 'none') return []
  const names = text.split(',').map((name) => name.trim())
  const known = new Set<string>(['all', ...families, ...allFaults.map(({ name }) => name)])
  const unknown = names.filter((name) => !known.has(name))
  if (unknown.length > 0)
    throw new UsageError(
      `--faults ${unknown.join(', ')}: there are all, none, ${families.join(', ')}, and ${listed(allFaults)}`,
    )
  const faults = allFaults.filter(({ name, family, leastNodes, whyNot }) => {
    if (!['all', family, name].some((asked) => names.includes(asked))) return false
    const reason = leastNodes > nodes ? `needs ${leastNodes} nodes` : (whyNot?.() ?? null)
    // Asked for as part of more it is left out; asked for by its own name it cannot be.
    if (reason !== null && names.includes(name)) throw new UsageError(`--faults ${name}: ${reason}`)
    return reason === null
  })
  if (faults.length === 0) throw new UsageError(`--faults ${text}: none of them can be done here with ${nodes} nodes`)
  return faults
}

function numberOf(option: string, text: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text)
  if (!Number.isFinite(value) || value < 0) throw new UsageError(`--${option} ${text} is no number`)
  return value
}

function listed(named: readonly { readonly name: string }[]): string {
  return named.map(({ name }) => name).join(', ')
}

export function help(): string {
  const width = Math.max(...allFaults.map(({ name }) => name.length))
  const list = families.map((family) => {
    const names = allFaults.filter((fault) => fault.family === family).map(({ name }) => name)
    return `  ${family.padEnd(width)}  ${names.join(', ')}`
  })
  return `npm run chaos -- [options]

Runs a cluster of real processes under load, breaks it again and again, reads everything back and judges what was seen.

  --minutes N   how long things are broken (5)
  --faults F    families or names by commas, or all, or none (all):
${list.join('\n')}
  --seed N      what is done, to whom, for how long; without it, another each time
  --nodes N     1, 3 or 5 (3)
  --rate N      things done in a second by all clients together (100)
  --gap MS      quiet time between two faults, on average (2000)
  --hold N      how long faults last, of the usual time (1)
  --out FILE    the page with timelines (default: kept with the history of a run that failed)
  --record      adds the result to docs/chaos.jsonl
  --keep        keeps history and logs of a good run, too
  --ci          what CI runs: ${ci.seconds} seconds of short faults of seed ${ci.seed}, some three minutes in all
  --system S    ${listed(systems)} (millrace)
  --check FILE  judges a recorded history again and runs nothing
  -h, --help

Exit code: 0 nothing wrong, 1 an anomaly or another problem, 2 called wrongly, 3 the run says nothing, 130 stopped.

  npm run chaos -- --minutes 10 --faults kill,pause --seed 7 --out chaos.html`
}
