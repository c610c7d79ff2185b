import { existsSync, readFileSync } from 'node:fs'
import type { ResultRow } from './bench-case.ts'
import type { MachineFacts } from './machine.ts'
import { pairings, type VariantName } from './variant.ts'

/** Figures that a table of a group shows, with how many digits; the first that are CPU are shown user + system apart. */
const columns: Record<string, readonly Column[]> = {
  'producer-perf': [
    rate('mbPerSecond', 'MB/s'),
    cost('cpuPerGb', 'broker CPU s/GB'),
    shares(),
    cost('p99Ms', 'p99 ms', 0),
  ],
  'consumer-perf': [rate('mbPerSecond', 'MB/s'), cost('cpuPerGb', 'broker CPU s/GB'), shares()],
  'rdkafka_performance, produce': [
    rate('recordsPerSecond', 'records/s'),
    cost('cpuPerGb', 'broker CPU s/GB'),
    shares(),
  ],
  'produce, encoded before': [rate('mbPerSecond', 'MB/s'), cost('cpuPerGb', 'broker CPU s/GB'), shares()],
  'rdkafka_performance, consume': [
    rate('recordsPerSecond', 'records/s'),
    cost('cpuPerGb', 'broker CPU s/GB'),
    shares(),
  ],
  'small requests': [
    rate('requestsPerSecond', 'requests/s'),
    cost('cpuUsPerRequest', 'broker CPU µs/request', 1),
    shares('UsPerRequest', 1),
    cost('p50Us', 'p50 µs', 0),
    cost('p99Us', 'p99 µs', 0),
  ],
  'end-to-end latency, probe': [
    cost('averageUs', 'average µs', 0),
    cost('p50Us', 'p50 µs', 0),
    cost('p99Us', 'p99 µs', 0),
    cost('acknowledgedP50Us', 'acknowledged p50 µs', 0),
  ],
  'end-to-end latency, Kafka’s tool': [
    cost('averageMs', 'average ms', 2),
    cost('p50Ms', 'p50 ms', 0),
    cost('p99Ms', 'p99 ms', 0),
  ],
  transactions: commitColumns(),
  'transactions of older clients': commitColumns(),
  'transactions, Kafka’s tool': [
    rate('recordsPerSecond', 'records/s'),
    cost('cpuPerMillion', 'broker CPU s/million', 1),
    shares('PerMillion', 1),
    cost('p50Ms', 'record p50 ms', 0),
    cost('p99Ms', 'record p99 ms', 0),
  ],
  'joining and losing members': [
    cost('joinSeconds', 'joining s'),
    cost('joinCpuSeconds', 'broker CPU s'),
    shares('JoinSeconds'),
    cost('settleSeconds', 'settling after the loss s'),
    cost('settleCpuSeconds', 'broker CPU s'),
    shares('SettleSeconds'),
    cost('heartbeatP99Ms', 'heartbeat p99 ms', 1),
  ],
  'start-up': [cost('freshMs', 'fresh ms', 0), cost('restartMs', 'restart ms', 0)],
  'resident memory': [
    cost('idleAnonymousMb', 'idle RssAnon MB', 0),
    cost('idleFileMb', 'idle RssFile MB', 0),
    cost('loadedAnonymousMb', 'loaded RssAnon MB', 0),
    cost('loadedFileMb', 'loaded RssFile MB', 0),
  ],
}

interface Column {
  readonly title: string
  /** Ours, theirs and their ratio as texts, from the rows of each. */
  cells(ours: readonly ResultRow[], theirs: readonly ResultRow[]): readonly [string, string, string]
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  if (sorted.length === 0) return Number.NaN
  return sorted.length % 2
    ? (sorted[middle] as number)
    : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2
}

const valuesOf = (rows: readonly ResultRow[], figure: string) =>
  rows.map(({ figures }) => figures[figure] ?? Number.NaN)

/** The median, with the lowest and highest if there were several runs. */
function spread(values: readonly number[], digits: number): string {
  const show = (value: number) => (value >= 10_000 ? Math.round(value).toLocaleString('en') : value.toFixed(digits))
  if (values.length < 2) return show(median(values))
  return `${show(median(values))} (${show(Math.min(...values))}–${show(Math.max(...values))})`
}

function column(figure: string, title: string, digits: number): Column {
  return {
    title,
    cells(ours, theirs) {
      const [a, b] = [valuesOf(ours, figure), valuesOf(theirs, figure)]
      const ratio = median(a) / median(b)
      return [spread(a, digits), spread(b, digits), Number.isFinite(ratio) ? `**${ratio.toFixed(2)}**` : '–']
    },
  }
}

/** More is better. */
function rate(figure: string, title: string): Column {
  return column(figure, title, 0)
}

/** Less is better. */
function cost(figure: string, title: string, digits = 2): Column {
  return column(figure, title, digits)
}

/** User and system part of the CPU column before. A virtual machine distorts the latter. */
function shares(suffix = 'PerGb', digits = 2): Column {
  const part = (rows: readonly ResultRow[], kind: string) => median(valuesOf(rows, `${kind}${suffix}`))
  return {
    title: 'user + system',
    cells(ours, theirs) {
      const show = (rows: readonly ResultRow[]) =>
        `${part(rows, 'user').toFixed(digits)} + ${part(rows, 'system').toFixed(digits)}`
      return [show(ours), show(theirs), `${(part(ours, 'user') / part(theirs, 'user')).toFixed(2)} user`]
    },
  }
}

function commitColumns(): readonly Column[] {
  return [
    rate('commitsPerSecond', 'commits/s'),
    cost('commitP50Ms', 'begin to committed p50 ms'),
    cost('commitP99Ms', 'p99 ms'),
    cost('visibleP50Ms', 'sent to visible p50 ms'),
    cost('visibleP99Ms', 'p99 ms'),
    cost('cpuMsPerCommit', 'broker CPU ms/commit'),
    shares('MsPerCommit'),
  ]
}

/** Markdown tables: one for each group and pairing that has figures on both sides. */
export function resultTables(rows: readonly ResultRow[]): string {
  const lines: string[] = []
  for (const group of new Set(rows.map((row) => row.group))) {
    lines.push(`### ${group}`, '')
    for (const { ours, theirs, durability } of pairings) {
      const table = pairTable(rows, group, ours, theirs)
      if (table.length === 0) continue
      const isAboutLogs = rows.some((row) => row.group === group && row.variant === 'millrace-cached')
      lines.push(`**${ours} against ${theirs}**${isAboutLogs ? ` (durability: ${durability})` : ''}`, '', ...table, '')
    }
  }
  return lines.join('\n')
}

function pairTable(rows: readonly ResultRow[], group: string, ours: VariantName, theirs: VariantName): string[] {
  const of = (name: string, variant: VariantName) =>
    rows.filter((row) => row.group === group && row.name === name && row.variant === variant)
  const names = [...new Set(rows.filter((row) => row.group === group).map(({ name }) => name))]
  const both = names.filter((name) => of(name, ours).length > 0 && of(name, theirs).length > 0)
  if (both.length === 0) return []
  // The same figures, taken of a cluster.
  const shown = columns[group.slice(group.indexOf(': ') + 2)] ?? columns[group] ?? []
  const head = shown.flatMap(({ title }) => [`${title}: ours`, 'theirs', 'ratio'])
  return [
    `| case | ${head.join(' | ')} |`,
    `| --- |${' --- |'.repeat(head.length)}`,
    ...both.map(
      (name) => `| ${name} | ${shown.flatMap((one) => one.cells(of(name, ours), of(name, theirs))).join(' | ')} |`,
    ),
  ]
}

/** Which commits the figures are of; the groups of each when they are of several. */
function commitsOf(rows: readonly ResultRow[]): string {
  const commits = [...new Set(rows.map(({ commit }) => commit))]
  if (commits.length === 1) return `Commit ${commits[0]}`
  const groupsOf = (commit: string) => [
    ...new Set(rows.filter((row) => row.commit === commit).map(({ group }) => group)),
  ]
  return `Commits ${commits.map((commit) => `${commit} (${groupsOf(commit).join('; ')})`).join(', ')}`
}

/** One line that says on what and when the figures were taken. */
export function machineLine(facts: Omit<MachineFacts, 'commit'>, rounds: number, rows: readonly ResultRow[]): string {
  const { date, cpu, cores, memoryGb, kernel, fileSystem, fdatasyncP50Us, node, java } = facts
  const machine = `${cores} cores of ${cpu}, ${memoryGb} GB, Linux ${kernel}, ${fileSystem} (fdatasync of 200 B: ${fdatasyncP50Us} µs p50)`
  const runs = rounds === 1 ? 'one run of each' : `medians of ${rounds} alternating runs (lowest–highest)`
  return `${commitsOf(rows)}, ${date}; ${machine}; Node ${node}; ${java}; ${runs}.`
}

/** What a page has before and behind the tables of one program. */
export interface PageMarks {
  readonly begin: string
  readonly end: string
}

export const FIGURES: PageMarks = {
  begin: '<!-- figures: npm run bench writes from here -->',
  end: '<!-- to here -->',
}

/** The page at `file`. Throws if it cannot be read or lacks the marks: to be asked before an hour of measuring, and not only after it. */
export function readPage(file: string, marks: PageMarks = FIGURES): string {
  if (!existsSync(file))
    throw new Error(`--markdown: there is no page at ${file}, for the tables to go between its marks`)
  const page = readFileSync(file, 'utf8')
  withFigures(page, '', marks)
  return page
}

/** Puts the tables between the marks of a page and leaves the rest as it is. */
export function withFigures(page: string, figures: string, { begin, end }: PageMarks = FIGURES): string {
  const [from, to] = [page.indexOf(begin), page.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`the page lacks its marks ${begin} and ${end}`)
  return `${page.slice(0, from + begin.length)}\n\n${figures}\n${page.slice(to)}`
}
