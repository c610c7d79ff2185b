import type { MetadataImage } from '@millrace/consensus'
import type { RequestContext } from '../handlers/handler.ts'
import { mapInSlices, type NextTurn } from '../handlers/slices.ts'
import type { Access } from './authorizer.ts'

/** Now or later. */
export type Answer<Value> = Value | Promise<Value>

/** What a guard looks at besides the request. */
export interface GuardScene {
  readonly access: Access
  readonly context: RequestContext
  /** The newest metadata. */
  image(): MetadataImage
  readonly nextTurn: NextTurn
  /** `auto.create.topics.enable` now. */
  autoCreateTopics(): boolean
  /** `delete.topic.enable` now. */
  deleteTopics(): boolean
}

/**
 * Stands before the handler of an API where there is an authorizer: refuses the request, or takes out of it what the client may not do,
 * passes on the rest, and adds to the answer what was refused. What it did not object to reaches the handler as it came.
 */
export type Guard<Request, Response> = (
  request: Request,
  scene: GuardScene,
  next: (request: Request) => Answer<Response>,
) => Answer<Response>

/** How a guard of a list takes it apart and puts the answer together. */
interface Narrowing<Item, Response> {
  readonly items: readonly Item[]
  isAllowed(item: Item): boolean
  /** Asks the handler for the allowed items, of which there is at least one. */
  ask(allowed: Item[]): Answer<Response>
  /** The answer where nothing is allowed. */
  none(): Answer<Response>
  /** Adds refused items to an answer, in place or to a new one. */
  refuse(response: Response, refused: readonly Item[]): Response
}

/** Splits what a request names, a slice a turn where it is long; `ask` gets all of it as it is where nothing is refused. */
export function narrow<Item, Response>(
  scene: GuardScene,
  { items, isAllowed, ask, none, refuse }: Narrowing<Item, Response>,
): Answer<Response> {
  return andThen(mapInSlices(items, scene.nextTurn, isAllowed), (verdicts): Answer<Response> => {
    const refused = items.filter((_, slot) => !verdicts[slot])
    const allowed = items.filter((_, slot) => verdicts[slot])
    if (refused.length === 0) return ask(allowed)
    return andThen(allowed.length === 0 ? none() : ask(allowed), (response) => refuse(response, refused))
  })
}

/** Those of a list of an answer that the client may see. */
export function visible<Item>(
  scene: GuardScene,
  items: readonly Item[],
  isVisible: (item: Item) => boolean,
): Answer<Item[]> {
  const verdicts = mapInSlices(items, scene.nextTurn, isVisible)
  return andThen(verdicts, (all) => items.filter((_, slot) => all[slot]))
}

/** `next` with the value: at once if it is there. */
export function andThen<Value, Next>(value: Answer<Value>, next: (value: Value) => Answer<Next>): Answer<Next> {
  return value instanceof Promise ? value.then(next) : next(value)
}

/** Names that stand once: those that are repeated are refused by handlers, and before permissions are asked for. */
export function namedOnce<Item>(items: readonly Item[], nameOf: (item: Item) => string | null): ReadonlySet<string> {
  const once = new Set<string>()
  const repeated = new Set<string>()
  for (const item of items) {
    const name = nameOf(item)
    if (name === null || repeated.has(name)) continue
    if (!once.delete(name)) once.add(name)
    else repeated.add(name)
  }
  return once
}

/** Adds a row for each item; a list of arguments would be as long as a client likes. */
export function addRows<Item, Row>(rows: Row[], items: readonly Item[], rowOf: (item: Item) => Row): void {
  for (const item of items) rows.push(rowOf(item))
}
