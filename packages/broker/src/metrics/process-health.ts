/**
 * What only the edge of the process can measure: its event loop, its garbage collector, its memory. All of it is read at a scrape;
 * nothing of it costs a request anything. Made where the real ports are made; a broker in memory has none.
 */
export interface ProcessHealth {
  /** How late the event loop was, since the start of the process. */
  loopDelay(): LoopDelay
  /** The longest stall ever. */
  longestDelaySeconds(): number
  /** Time the event loop worked and waited, since the start of the process. */
  loopTime(): { readonly activeSeconds: number; readonly idleSeconds: number }
  /** Processor time, since the start of the process. */
  processorTime(): { readonly userSeconds: number; readonly systemSeconds: number }
  /** Garbage collections by kind, from the first call on: watching them costs a little, which nobody pays who never asks. */
  collections(): readonly CollectionSample[]
  /** Bytes by kind. */
  memory(): MemorySample
  /** Descriptors that are open, sockets included; null where that cannot be told. Counted off the loop: with thousands it takes long. */
  openDescriptors(): Promise<number | null>
  /** Threads that disk operations share (`UV_THREADPOOL_SIZE`). */
  readonly poolThreadCount: number
}

export interface LoopDelay {
  /** Upper bounds in seconds, ascending, and how many samples were at most so late. */
  readonly buckets: readonly { readonly leSeconds: number; readonly count: number }[]
  readonly count: number
  readonly sumSeconds: number
}

export interface CollectionSample {
  /** A name of a fixed few: `minor`, `major`, `incremental`, `weak-callbacks`. */
  readonly kind: string
  readonly count: number
  readonly sumSeconds: number
  readonly maxSeconds: number
}

export interface MemorySample {
  readonly rss: number
  /** What the process alone holds (`RssAnon`): mapped segments, which the system may drop, are not in it. Null where unknown. */
  readonly anonymous: number | null
  readonly heapUsed: number
  readonly heapTotal: number
  /** Memory outside of the heap that its objects hold, `arrayBuffers` included. */
  readonly external: number
  readonly arrayBuffers: number
}
