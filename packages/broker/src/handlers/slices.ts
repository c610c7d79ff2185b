import type { RequestContext } from './handler.ts'
import type { NextTurn } from './next-turn.ts'

export type { NextTurn } from './next-turn.ts'

/** Most elements of a request that are worked on in one go: a few ms, whatever the API. */
export const SLICE_ELEMENTS = 500

/** Who asked, and may go away before the answer. */
export type Asker = Pick<RequestContext, 'onAbandoned' | 'nextSlice' | 'growAnswer'>

/**
 * `work` for each of `items`, in order. A list of at most `sliceLength` gives its results at once; a longer one is worked on in
 * slices, each in a turn of its own, so that no request holds the loop, however much it names. Answers stay in order: the connection
 * waits for the promise. The first error ends it, and so does `asker` by going away: the results are those so far then. Where an item is
 * many times the work of others, slices must be shorter than usual. `elementsOf` tells how many elements of the answer a result is: what
 * the answers in the making take is bounded, so that the next slice may have to wait for others.
 */
export function mapInSlices<Item, Result>(
  items: readonly Item[],
  nextTurn: NextTurn,
  work: (item: Item) => Result,
  asker: Asker | null = null,
  sliceLength = SLICE_ELEMENTS,
  elementsOf: (result: Result) => number = oneElement,
): Result[] | Promise<Result[]> {
  return items.length <= sliceLength ? items.map(work) : mapLater(items, nextTurn, work, asker, sliceLength, elementsOf)
}

async function mapLater<Item, Result>(
  items: readonly Item[],
  nextTurn: NextTurn,
  work: (item: Item) => Result,
  asker: Asker | null,
  sliceLength: number,
  elementsOf: (result: Result) => number,
): Promise<Result[]> {
  const results: Result[] = []
  const isGone = watch(asker)
  for (let start = 0; start < items.length; start += sliceLength) {
    await turnFor(asker, nextTurn)
    if (isGone()) break
    const end = Math.min(items.length, start + sliceLength)
    let elementCount = 0
    for (let slot = start; slot < end; slot++) {
      const result = work(items[slot]!)
      results.push(result)
      elementCount += elementsOf(result)
    }
    asker?.growAnswer(elementCount)
  }
  return results
}

/** A later turn, in which there is room for a slice of the asker's answer. */
export function turnFor(asker: Asker | null, nextTurn: NextTurn): Promise<void> {
  return asker === null ? nextTurn() : asker.nextSlice(nextTurn)
}

function oneElement(): number {
  return 1
}

/** As {@link mapInSlices} for work that ends later: that of one slice goes on at the same time. */
export async function mapAsyncInSlices<Item, Result>(
  items: readonly Item[],
  nextTurn: NextTurn,
  work: (item: Item) => Promise<Result>,
  asker: Asker | null = null,
  sliceLength = SLICE_ELEMENTS,
): Promise<Result[]> {
  const results: Result[] = []
  const isLong = items.length > sliceLength
  const isGone = watch(isLong ? asker : null)
  for (let start = 0; start < items.length; start += sliceLength) {
    if (isLong) await turnFor(asker, nextTurn)
    if (isGone()) break
    const slice = items.slice(start, start + sliceLength)
    for (const result of await Promise.all(slice.map(work))) results.push(result)
    if (isLong) asker?.growAnswer(slice.length)
  }
  return results
}

/** Tells from now on whether the asker went away. */
export function watch(asker: Asker | null): () => boolean {
  let gone = false
  asker?.onAbandoned(() => {
    gone = true
  })
  return () => gone
}

/** `respond` with the results of {@link mapInSlices}: at once if they are there. */
export function whenMapped<Result, Response>(
  results: Result[] | Promise<Result[]>,
  respond: (results: Result[]) => Response,
): Response | Promise<Response> {
  return results instanceof Promise ? results.then(respond) : respond(results)
}

/**
 * The first of the items with each key. A request that names one thing a hundred thousand times is answered once for it: an answer may be
 * a thousand times as long as its name.
 */
export function distinctBy<Item, Key>(items: readonly Item[], keyOf: (item: Item) => Key): readonly Item[] {
  if (items.length < 2) return items
  const seen = new Set<Key>()
  return items.filter((item) => {
    const key = keyOf(item)
    if (seen.has(key)) return false
    seen.add(key)
    return true
  })
}
