/** Most elements of a request that are worked on in one go: a few ms, whatever the API. */
export const SLICE_ELEMENTS = 500

/** Gives the event loop to others. Resolves in a later turn. */
export type NextTurn = () => Promise<void>

/**
 * `work` for each of `items`, in order. A list of at most {@link SLICE_ELEMENTS} gives its results at once; a longer one is worked on in
 * slices, between which others have their turn, so that no request holds the loop, however much it names. Answers stay in order: the
 * connection waits for the promise. The first error ends it.
 */
export function mapInSlices<Item, Result>(
  items: readonly Item[],
  nextTurn: NextTurn,
  work: (item: Item) => Result,
): Result[] | Promise<Result[]> {
  return items.length <= SLICE_ELEMENTS ? items.map(work) : mapLater(items, nextTurn, work)
}

async function mapLater<Item, Result>(
  items: readonly Item[],
  nextTurn: NextTurn,
  work: (item: Item) => Result,
): Promise<Result[]> {
  const results: Result[] = []
  for (let start = 0; start < items.length; start += SLICE_ELEMENTS) {
    if (start > 0) await nextTurn()
    const end = Math.min(items.length, start + SLICE_ELEMENTS)
    for (let slot = start; slot < end; slot++) results.push(work(items[slot]!))
  }
  return results
}

/** As {@link mapInSlices} for work that ends later: that of one slice goes on at the same time. */
export async function mapAsyncInSlices<Item, Result>(
  items: readonly Item[],
  nextTurn: NextTurn,
  work: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = []
  for (let start = 0; start < items.length; start += SLICE_ELEMENTS) {
    if (start > 0) await nextTurn()
    for (const result of await Promise.all(items.slice(start, start + SLICE_ELEMENTS).map(work))) results.push(result)
  }
  return results
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
