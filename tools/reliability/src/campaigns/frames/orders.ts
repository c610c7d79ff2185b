import type { EpochResult } from './broker-epoch.ts'
import type { RareFrames } from './frame-source.ts'

/** One piece of work for a thread. */
export type Order =
  | { readonly kind: 'corpus' }
  | { readonly kind: 'sweep'; readonly seed: number }
  | {
      readonly kind: 'epoch'
      readonly epoch: number
      readonly seed: number
      readonly frames: number
      readonly rare: RareFrames
    }

/** What an order came to. */
export type OrderResult = EpochResult & {
  /** Cases of the corpus, and largest requests, that were sent. */
  readonly checkCount: number
  readonly longestStallMs: number
  readonly longestPauseMs: number
}

/**
 * What a thread tells: how far it is, what did not hold (`sent`: what each connection had sent; `heldMs`: it is a turn of an epoch that held
 * the loop for so long), and that it is done.
 */
export type Report =
  | { readonly kind: 'progress'; readonly frameCount: number }
  | Found
  | { readonly kind: 'done'; readonly result: OrderResult }

/** What did not hold; see `Report`. */
export interface Found {
  readonly kind: 'failure'
  readonly where: string
  readonly what: string
  readonly sent: readonly Uint8Array[]
  readonly heldMs: number | null
}

/** A broker's life: long enough for state to pile up, short enough to run again for one find. */
export const EPOCH_FRAMES = 25_000
/** Now and then one that is long, so that what grows slowly shows. */
const LONG_EPOCH_FRAMES = 200_000
const LONG_EPOCH_EVERY = 8
/**
 * Floods take a hundred to ten thousand times as long as other frames, and a quarter of all time with one in 1,500. Over ten million there
 * are still thousands of them and of bombs.
 */
const RARE: RareFrames = { flood: 5_000, deluge: 50_000, bomb: 2_000 }

export interface Plan {
  readonly seed: number
  /** In all epochs together. */
  readonly frames: number
  readonly firstEpoch: number
}

/** The orders of a run, in turn. A run that begins with a later epoch goes on with one that had the rest. */
export function* ordersOf({ seed, frames, firstEpoch }: Plan): Generator<Order, void> {
  if (firstEpoch === 0) {
    yield { kind: 'sweep', seed }
    yield { kind: 'corpus' }
  }
  let left = frames
  for (let epoch = firstEpoch; left > 0; epoch++) {
    const whole = epoch % LONG_EPOCH_EVERY === LONG_EPOCH_EVERY - 1 ? LONG_EPOCH_FRAMES : EPOCH_FRAMES
    const some = Math.min(left, whole)
    left -= some
    yield { kind: 'epoch', epoch, seed: (Math.imul(seed, 1_000_003) + epoch) >>> 0, frames: some, rare: RARE }
  }
}

/** As a complaint names it. */
export function nameOf(order: Order): string {
  return order.kind === 'epoch'
    ? `epoch ${order.epoch}`
    : order.kind === 'corpus'
      ? 'the corpus'
      : 'the largest requests'
}
