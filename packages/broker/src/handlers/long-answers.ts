import { ApiKey, Writer } from '@millrace/protocol'
import { type NextTurn, SLICE_ELEMENTS } from './slices.ts'

/** More elements than this take more than a few milliseconds to encode. */
const LONG_ELEMENTS = 4 * SLICE_ELEMENTS

/**
 * The lists that make an answer long: a field of the response, then one of its items, and so on. Each is the last array of what it is a
 * field of, apart from those within its own items.
 */
export type ListPath = readonly string[]

/** Encodes a response, with whatever is in its lists. */
type Encode = (writer: Writer, response: object) => void

const PARTITIONS: ListPath = ['topics', 'partitions']

const PATHS: ReadonlyMap<number, ListPath> = new Map<number, ListPath>([
  [ApiKey.LIST_OFFSETS, PARTITIONS],
  [ApiKey.METADATA, PARTITIONS],
  [ApiKey.OFFSET_COMMIT, PARTITIONS],
  [ApiKey.OFFSET_FETCH, ['groups', 'topics', 'partitions']],
  [ApiKey.FIND_COORDINATOR, ['coordinators']],
  [ApiKey.JOIN_GROUP, ['members']],
  [ApiKey.DESCRIBE_GROUPS, ['groups', 'members']],
  [ApiKey.CONSUMER_GROUP_DESCRIBE, ['groups', 'members']],
  [ApiKey.LIST_GROUPS, ['groups']],
  // No topic has so many settings that one alone is long: versions that leave them out are never cut there.
  [ApiKey.CREATE_TOPICS, ['topics', 'configs']],
  [ApiKey.DELETE_TOPICS, ['responses']],
  [ApiKey.DELETE_RECORDS, PARTITIONS],
  [ApiKey.OFFSET_FOR_LEADER_EPOCH, PARTITIONS],
  [ApiKey.DESCRIBE_ACLS, ['resources', 'acls']],
  [ApiKey.DELETE_ACLS, ['filterResults', 'matchingAcls']],
  [ApiKey.DESCRIBE_CONFIGS, ['results', 'configs']],
  [ApiKey.ALTER_CONFIGS, ['responses']],
  [ApiKey.DESCRIBE_LOG_DIRS, ['results', 'topics', 'partitions']],
  [ApiKey.CREATE_PARTITIONS, ['results']],
  [ApiKey.DELETE_GROUPS, ['results']],
  [ApiKey.INCREMENTAL_ALTER_CONFIGS, ['responses']],
  [ApiKey.OFFSET_DELETE, PARTITIONS],
  [ApiKey.DESCRIBE_PRODUCERS, ['topics', 'partitions', 'activeProducers']],
])

/** First version in which OffsetFetch answers by group; before, its topics stand in the response itself. */
const OFFSET_FETCH_GROUPS_VERSION = 8

/** The lists of a response that takes too long to encode in one go; null for nearly all. */
export function longListsOf(apiKey: number, version: number, response: unknown): ListPath | null {
  const isOldFetch = apiKey === ApiKey.OFFSET_FETCH && version < OFFSET_FETCH_GROUPS_VERSION
  const path = isOldFetch ? PARTITIONS : PATHS.get(apiKey)
  return path !== undefined && sizeOf(response, path, 0) > LONG_ELEMENTS ? path : null
}

/** What an answer is encoded with. */
interface SlicedEncoding {
  readonly encode: Encode
  readonly nextTurn: NextTurn
  /** Nobody waits for it any more. */
  isGone(): boolean
  /** A piece of so many bytes was made. */
  onPiece(sizeBytes: number): void
}

/** Encodes long answers, one after the other: a thousand at once would take the memory of all of them before the first is sent. */
export class LongAnswers {
  #last: Promise<unknown> = Promise.resolve()

  /** See {@link encodeInSlices}. */
  encode(response: object, path: ListPath, encoding: SlicedEncoding): Promise<readonly Buffer[] | null> {
    const encoded = this.#last.then(() => (encoding.isGone() ? null : encodeInSlices(response, path, encoding)))
    // Who asked for it learns of a failure; the next one does not mind.
    this.#last = encoded.catch(() => null)
    return encoded
  }
}

/**
 * Encodes a response, a slice of its lists in each turn, and gives the bytes in pieces; null if the asker has gone meanwhile. The
 * generated encoders know no pauses: so each slice is encoded as a response of its own, of which the bytes of its items are taken. Throws
 * what `encode` throws.
 */
export function encodeInSlices(
  response: object,
  path: ListPath,
  encoding: SlicedEncoding,
): Promise<readonly Buffer[] | null> {
  const writer = new Writer(64 * 1024)
  const encodeItems = (target: Writer, items: readonly unknown[]): void =>
    encoding.encode(target, { ...response, [path[0]!]: items })
  return encodeList(listOf(response, path[0]!), path.slice(1), encodeItems, writer, encoding)
}

/** A whole response, with all of `items` where `encodeItems` puts them. */
async function encodeList(
  items: readonly unknown[],
  innerPath: ListPath,
  encodeItems: (writer: Writer, items: readonly unknown[]) => void,
  writer: Writer,
  encoding: SlicedEncoding,
): Promise<Buffer[] | null> {
  const around = new Surroundings(encodeItems)
  const pieces = [around.before(items.length)]
  for (let from = 0; from < items.length; ) {
    const to = endOfSlice(items, innerPath, from)
    const [field] = innerPath
    if (field !== undefined && sizeOf(items[from], innerPath, 0) > LONG_ELEMENTS) {
      const item = items[from] as object
      const encodeInner = (target: Writer, inner: readonly unknown[]): void =>
        encodeItems(target, [{ ...item, [field]: inner }])
      const inner = await encodeList(listOf(item, field), innerPath.slice(1), encodeInner, writer, encoding)
      if (inner === null) return null
      pieces.push(...around.cutPieces(inner))
    } else {
      await encoding.nextTurn()
      if (encoding.isGone()) return null
      writer.reset()
      encodeItems(writer, items.slice(from, to))
      const piece = Buffer.from(around.cut(writer.toBuffer(), to - from))
      pieces.push(piece)
      encoding.onPiece(piece.length)
    }
    from = to
  }
  pieces.push(around.after)
  return pieces
}

/** What stands around the items of a list, whatever they are. */
class Surroundings {
  readonly #before: Buffer
  readonly #isCompact: boolean
  readonly after: Buffer

  constructor(encodeItems: (writer: Writer, items: readonly unknown[]) => void) {
    const writer = new MarkingWriter()
    encodeItems(writer, [])
    const bytes = writer.toBuffer()
    this.#isCompact = writer.isCompact
    this.#before = bytes.subarray(0, writer.lastArrayPosition)
    this.after = bytes.subarray(writer.lastArrayPosition + this.#lengthOf(0).length)
  }

  /** All that comes before the first of `count` items. */
  before(count: number): Buffer {
    return Buffer.concat([this.#before, this.#lengthOf(count)])
  }

  /** The bytes of the `count` items that a response holds. */
  cut(response: Buffer, count: number): Buffer {
    return response.subarray(this.#before.length + this.#lengthOf(count).length, response.length - this.after.length)
  }

  /** The same of a response with one item that is there in pieces. */
  cutPieces(response: readonly Buffer[]): Buffer[] {
    const pieces = [...response]
    pieces[0] = pieces[0]!.subarray(this.#before.length + this.#lengthOf(1).length)
    const last = pieces.length - 1
    pieces[last] = pieces[last]!.subarray(0, pieces[last]!.length - this.after.length)
    return pieces
  }

  #lengthOf(count: number): Buffer {
    const writer = new Writer(8)
    if (this.#isCompact) writer.compactArrayLength(count)
    else writer.arrayLength(count)
    return writer.toBuffer()
  }
}

/** Notes where the length of the last array stands, and in which form. */
class MarkingWriter extends Writer {
  lastArrayPosition = -1
  isCompact = false

  override arrayLength(count: number): void {
    this.lastArrayPosition = this.position
    this.isCompact = false
    super.arrayLength(count)
  }

  override compactArrayLength(count: number): void {
    this.lastArrayPosition = this.position
    this.isCompact = true
    super.compactArrayLength(count)
  }
}

/** How many elements the lists on the path from `holder` on have, itself included: about what it costs to encode. */
function sizeOf(holder: unknown, path: ListPath, depth: number): number {
  if (depth === path.length) return 1
  const items = listOf(holder as object, path[depth]!)
  if (depth === path.length - 1) return 1 + items.length
  let size = 1
  for (let slot = 0; slot < items.length; slot++) size += sizeOf(items[slot], path, depth + 1)
  return size
}

/** Up to a slice's size, but one item at least; a long one is alone. */
function endOfSlice(items: readonly unknown[], innerPath: ListPath, from: number): number {
  let size = sizeOf(items[from], innerPath, 0)
  let to = from + 1
  while (to < items.length && size < SLICE_ELEMENTS) {
    const next = sizeOf(items[to], innerPath, 0)
    if (next > LONG_ELEMENTS) break
    size += next
    to++
  }
  return to
}

const NO_ITEMS: readonly unknown[] = []

/** Some versions leave a list out, or have null for it. */
function listOf(holder: object, field: string): readonly unknown[] {
  return (holder as { [field: string]: readonly unknown[] | null | undefined })[field] ?? NO_ITEMS
}
