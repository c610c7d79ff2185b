import type { RandomStream } from '../../world/random-stream.ts'
import type { ClientHost } from '../client-host.ts'
import { ClientProcess } from './client-process.ts'

/** A client at work in a process of its own. */
export interface Shift {
  readonly process: ClientProcess
  /** Its work is over, one way or the other. Never rejects. */
  readonly over: Promise<void>
}

export interface TurnOptions {
  readonly host: ClientHost
  readonly random: RandomStream
  /** Of the one who sees to it that there is always somebody. */
  readonly name: string
  /** How long one of them is alone at work, on average. */
  readonly shiftMs: number
  readonly isOver: () => boolean
  /** Puts the next one to work. */
  start(turn: number): Shift
}

/** How a shift ends. `stop` and `go on`: its successor is there while it does not know of that. */
const ENDS = ['leave', 'end', 'end', 'stop', 'stop', 'go on'] as const
const LOOK_MS = 250
/** For how long one may be stopped, and for how long after that it may go on beside its successor. */
const STOPS_MS = [500, 2_500, 8_000]
const BESIDE_MS = 6_000
/** One that leaves has so much time, then it is ended. */
const LEAVE_LIMIT_MS = 30_000

/** One client after the other does the same work: each ends in order, or dies, or goes on as a zombie beside its successor. */
export async function workByTurns(options: TurnOptions): Promise<void> {
  const { host, random, shiftMs, isOver, start } = options
  const watcher = new ClientProcess(host, options.name)
  const overs: Promise<void>[] = []
  for (let turn = 0; !isOver(); turn++) {
    const { process, over } = start(turn)
    overs.push(over)
    let isWorking = true
    void over.then(() => {
      isWorking = false
    })
    const untilMs = host.world.nowMs + random.exponential(shiftMs)
    while (isWorking && !isOver() && host.world.nowMs < untilMs) await watcher.pass(LOOK_MS, 'watch')
    if (isOver()) process.leave()
    else if (isWorking) endShift(options, process)
    retire(host, process, LEAVE_LIMIT_MS)
    await watcher.pass(random.exponential(200), 'next')
  }
  await Promise.all(overs)
}

function endShift({ host, random }: TurnOptions, process: ClientProcess): void {
  const end = random.pick(ENDS)
  host.world.mark(`end of a shift: ${end}`)
  const stopMs = random.pick(STOPS_MS)
  switch (end) {
    case 'leave':
      process.leave()
      return
    case 'end':
      process.end()
      return
    case 'stop':
      process.stop(stopMs)
      host.world.schedule(stopMs + BESIDE_MS, 'zombie leaves', -1, () => process.leave())
      return
    case 'go on':
      host.world.schedule(BESIDE_MS, 'zombie leaves', -1, () => process.leave())
  }
}

/** Whoever does not come to an end is ended. */
function retire(host: ClientHost, process: ClientProcess, afterMs: number): void {
  host.world.schedule(afterMs, 'end', -1, () => process.end())
}
