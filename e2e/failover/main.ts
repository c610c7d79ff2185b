/** Measures how long writes stop when the leader of a partition is lost: see `help`. */
import { execFileSync } from 'node:child_process'
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { Admin } from '@millrace/client'
import { places } from '../harness/places.ts'
import { until } from '../harness/until.ts'
import { type Arena, type FaultName, isFaultName, openArena } from './arena.ts'
import { failoverFigure } from './figure.ts'
import { measureGap } from './probe.ts'
import { type FailoverRow, summaryTable } from './summary.ts'

const help = `npm run failover -- [options]

Three nodes on this machine, one partition with three replicas and min.insync.replicas 2, a record each 5 ms with acks=all. Again and again its
leader is lost, and the time until the next record is acknowledged that was sent after that is measured. Every other time the leader is the
active controller too. The node comes back and is in sync before the next round.

  --fault F      kill (SIGKILL); pause (SIGSTOP, client request timeout 1 s); cut (no packet to or from nodes and clients any more,
                 by proxies in front of each node, client request timeout 1 s)  (kill)
  --rounds N     (50); 0: nothing is measured
  --out FILE     one JSON object a round is appended to it; the table at the end tells of all rounds in it
  --figure FILE  an SVG of all these rounds
  --set K=V      a setting of all nodes; may be repeated

With E2E_KAFKA (the folder of the Kafka peer's scripts) it is three nodes of Apache Kafka; kill and pause only.`

/** A client that waits long for a leader that is silent measures its own patience. */
const SILENT_REQUEST_TIMEOUT_MS = 1000
const REQUEST_TIMEOUT_MS = 30_000
const TOPIC = 'failover'

const { values } = parseArgs({
  options: {
    help: { type: 'boolean', short: 'h', default: false },
    fault: { type: 'string', default: 'kill' },
    rounds: { type: 'string', default: '50' },
    out: { type: 'string' },
    figure: { type: 'string' },
    set: { type: 'string', multiple: true, default: [] },
  },
})
const rounds = Number(values.rounds)
if (values.help || !isFaultName(values.fault) || !Number.isInteger(rounds) || rounds < 0) {
  console.log(help)
  process.exit(values.help ? 0 : 2)
}

let isInterrupted = false
process.once('SIGINT', () => {
  isInterrupted = true
})

const rows: FailoverRow[] = []
const commit = execFileSync('git', ['-C', places.root, 'rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim()
if (rounds > 0)
  await measure(values.fault, Object.fromEntries(values.set.map((pair) => pair.split(/=(.*)/s).slice(0, 2))))
const told = values.out ? rowsOf(values.out) : rows
console.log(summaryTable(told))
if (values.figure) writeFileSync(values.figure, failoverFigure(told))

function rowsOf(file: string): FailoverRow[] {
  const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean)
  return lines.map((line) => JSON.parse(line) as FailoverRow)
}

async function measure(fault: FaultName, settings: Readonly<Record<string, string>>): Promise<void> {
  const arena = await openArena(fault, settings)
  const admin = new Admin({ bootstrapServers: arena.bootstrap, requestTimeoutMs: 3000, metadataMaxAgeMs: 1000 })
  try {
    const wanted = { name: TOPIC, partitions: 1, replicationFactor: 3, configs: { 'min.insync.replicas': '2' } }
    const [created] = await admin.createTopics([wanted])
    if (created!.error !== null) throw created!.error
    for (let round = 1; round <= rounds && !isInterrupted; round++) rows.push(await play(arena, admin, fault, round))
  } finally {
    await admin.close()
    await arena.close()
  }
}

async function play(arena: Arena, admin: Admin, fault: FaultName, round: number): Promise<FailoverRow> {
  await untilWhole(admin)
  const wantsController = round % 2 === 0
  const leaderId = await placeLeader(admin, wantsController)
  const wasController = (await admin.describeQuorum()).leaderId === leaderId
  const requestTimeoutMs = fault === 'kill' ? REQUEST_TIMEOUT_MS : SILENT_REQUEST_TIMEOUT_MS
  try {
    const gap = await measureGap(arena.bootstrap, TOPIC, requestTimeoutMs, () => arena.lose(leaderId))
    const figures = { firstAckMs: Math.round(gap.firstAckMs), longestMs: Math.round(gap.longestMs) }
    const row: FailoverRow = {
      system: arena.system,
      fault,
      round,
      wasController,
      ...figures,
      failedCount: gap.failedCount,
      commit,
    }
    console.error(`${fault} ${round}: ${figures.firstAckMs} ms${wasController ? ' (active controller too)' : ''}`)
    if (values.out) appendFileSync(values.out, `${JSON.stringify(row)}\n`)
    return row
  } finally {
    await arena.bringBack(leaderId)
  }
}

async function untilWhole(admin: Admin): Promise<void> {
  const isWhole = async () => {
    const [topic] = await admin.describeTopics([TOPIC]).catch(() => [])
    return topic?.error === null && topic.partitions[0]?.leader !== -1 && topic.partitions[0]?.isr.length === 3
  }
  await until('all replicas are in sync', isWhole, 120_000)
}

/** Lets the active controller lead the partition, or another node; gives who leads. */
async function placeLeader(admin: Admin, wantsController: boolean): Promise<number> {
  const leads = async () => {
    const [topic] = await admin.describeTopics([TOPIC])
    const controllerId = (await admin.describeQuorum()).leaderId
    const { leader } = topic!.partitions[0]!
    if ((leader === controllerId) === wantsController) return leader
    const wanted = wantsController ? controllerId : (controllerId % 3) + 1
    const replicas = [wanted, ...[1, 2, 3].filter((id) => id !== wanted)]
    await admin.alterReassignments([{ topic: TOPIC, partition: 0, replicas }])
    await admin.electLeaders('preferred', [{ topic: TOPIC, partition: 0 }])
    return null
  }
  return until('the right node leads', () => leads().catch(() => null), 60_000)
}
