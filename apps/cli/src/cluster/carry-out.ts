import type { Admin, ProtocolError, TopicPartition } from '@millrace/client'
import type { CliContext } from '../command/cli-context.ts'
import { CliError, ExitCode } from '../command/cli-error.ts'
import { reportOutcomes } from '../command/outcomes.ts'
import type { Column } from '../io/output-format.ts'
import { sleep } from '../io/pacer.ts'
import { formatCount } from '../options/numbers.ts'
import { shareBar } from './bars.ts'
import type { Move, MovePlan } from './plan-moves.ts'

/** Options of every command that moves partitions. */
export interface MoveOptions {
  execute?: boolean
  wait?: boolean
}

export const MOVE_OPTIONS = [
  { flags: '--execute', description: 'do it; without this only the plan is shown' },
  { flags: '--wait', description: 'with --execute: until all is moved' },
] as const

const COLUMNS: readonly Column[] = [{ key: 'topic' }, { key: 'partition' }, { key: 'from' }, { key: 'to' }]
const POLL_MS = 500
/** Requests stay small, and one that the cluster refuses as a whole stops few moves. */
const MOVES_PER_REQUEST = 500

/** Shows the plan, does it if asked to, and waits if asked to. Gives the exit code. */
export async function carryOut(
  context: CliContext,
  admin: Admin,
  plan: MovePlan,
  options: MoveOptions,
): Promise<number> {
  if (options.wait && !options.execute) {
    throw new CliError('--wait waits for what --execute does', { exitCode: ExitCode.USAGE })
  }
  const outcomes: (TopicPartition & { error: ProtocolError | null })[] = []
  if (options.execute) {
    for (let first = 0; first < plan.moves.length; first += MOVES_PER_REQUEST) {
      const part = plan.moves.slice(first, first + MOVES_PER_REQUEST)
      const wanted = part.map(({ topic, partition, to }) => ({ topic, partition, replicas: to }))
      outcomes.push(...(await admin.alterReassignments(wanted)))
    }
  }
  const failed = new Set(outcomes.filter(({ error }) => error !== null).map(keyOf))
  // Off a terminal one table is printed, with what became of each in the end: programs read it once.
  const isShownAtEnd = options.execute === true && options.wait === true && !context.io.stdout.isTty
  if (!isShownAtEnd)
    await printMoves(context, plan.moves, options, (move) => (failed.has(keyOf(move)) ? 'failed' : 'begun'))
  for (const { topic, partition, replicas } of plan.impossible) {
    await context.note(
      `millrace: ${topic}-${partition}: too few brokers for its ${formatCount(replicas.length, 'replica')}`,
    )
  }
  if (!options.execute) {
    await context.note(plan.moves.length === 0 ? 'Nothing to move.' : 'Nothing was changed: add --execute to do it.')
    return plan.impossible.length > 0 ? ExitCode.PARTIAL : ExitCode.OK
  }
  let exitCode = await reportOutcomes(context, outcomes)
  if (options.wait) {
    const open = new Set(plan.moves.map(keyOf).filter((key) => !failed.has(key)))
    const begunCount = open.size
    try {
      await waitForMoves(context, admin, open)
    } finally {
      if (isShownAtEnd) {
        const resultOf = (key: string) => (failed.has(key) ? 'failed' : open.has(key) ? 'begun' : 'moved')
        await printMoves(context, plan.moves, options, (move) => resultOf(keyOf(move)))
      } else await context.note(`${begunCount - open.size} of ${formatCount(begunCount, 'partition')} moved.`)
    }
    if (context.isInterrupted) return ExitCode.INTERRUPTED
  }
  if (exitCode === ExitCode.OK && plan.impossible.length > 0) exitCode = ExitCode.PARTIAL
  return exitCode
}

async function printMoves(
  context: CliContext,
  moves: readonly Move[],
  { execute }: MoveOptions,
  resultOf: (move: Move) => string,
): Promise<void> {
  const rows = moves.map((move) => {
    const { topic, partition, from, to } = move
    const row = { topic, partition, from: [...from], to: [...to] }
    return execute ? { ...row, result: resultOf(move) } : row
  })
  await context.printRows(rows, execute ? [...COLUMNS, { key: 'result' }] : COLUMNS)
}

/** Takes out of `open` what is not being moved any more, until it is empty or Ctrl-C comes. Draws how far it is on terminals. */
async function waitForMoves(context: CliContext, admin: Admin, open: Set<string>): Promise<void> {
  const { stderr, timers, signal } = context.io
  const count = open.size
  let isDrawn = false
  while (open.size > 0) {
    const underWay = new Set((await admin.listReassignments()).map(keyOf))
    for (const key of open) if (!underWay.has(key)) open.delete(key)
    if (stderr.isTty) {
      const done = count - open.size
      await stderr.write(`\r\u001b[K${shareBar(done, count)} ${done} of ${count} moved`)
      isDrawn = true
    }
    if (open.size === 0) break
    await sleep(timers, POLL_MS, signal)
    if (signal.aborted) break
  }
  if (isDrawn) await stderr.write('\r\u001b[K')
}

function keyOf({ topic, partition }: TopicPartition): string {
  return `${topic}:${partition}`
}
