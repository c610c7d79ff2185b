import { type Key, open, type RootDatabase } from 'lmdb'
import { DamagedLogError, LogWriteError, REJOIN_REMEDY } from './damaged-log-error.ts'
import { FileReserve } from './file-reserve.ts'
import { checkMetaPages } from './meta-pages.ts'

/** Enough for most logs, so that the map rarely grows; LMDB doubles it when needed. Address space, not memory. */
const INITIAL_MAP_BYTES = 64 * 1024 * 1024
const ENOSPC = 28
const EDQUOT = 122
const MDB_MAP_FULL = -30792

/** Of what LMDB tells. */
interface Statistics {
  /** Where the pages in use end; free ones lie before. */
  readonly lastPageNumber: number
  readonly pageSize: number
}

export interface DatabaseChange {
  readonly puts: readonly (readonly [key: Buffer, value: Buffer])[]
  readonly removes: readonly Buffer[]
}

/**
 * One LMDB file of byte keys and values. Writes are transactions on the thread pool, durable when their promise resolves: without
 * `overlappingSync` LMDB's commit writes the pages, syncs, writes the meta page through a descriptor opened with `O_DSYNC`, and only then
 * marks the transaction as committed, which is what resolves the promise of `batch`. (With it, the default, that promise resolves before
 * the sync and only `flushed` waits for it.)
 */
export class LmdbDatabase {
  readonly #path: string
  readonly #database: RootDatabase<Buffer, Key>

  readonly #reserve: FileReserve

  private constructor(path: string, database: RootDatabase<Buffer, Key>, reserve: FileReserve) {
    this.#path = path
    this.#database = database
    this.#reserve = reserve
  }

  /** Opens or creates the file, and its directory. Throws {@link DamagedLogError} for what is no database any more. */
  static open(path: string): LmdbDatabase {
    checkMetaPages(path)
    try {
      const database = open<Buffer, Key>({
        path,
        noSubdir: true,
        encoding: 'binary',
        keyEncoding: 'binary',
        overlappingSync: false,
        mapSize: INITIAL_MAP_BYTES,
        permissionsMode: 0o600,
      } as Parameters<typeof open>[0] & { permissionsMode: number }) as RootDatabase<Buffer, Key>
      return new LmdbDatabase(path, database, new FileReserve(path))
    } catch (cause) {
      throw openError(path, cause)
    }
  }

  /** A copy of the value; null if there is none. */
  get(key: Buffer): Buffer | null {
    const value = this.#read(() => this.#database.getBinary(key))
    return value === undefined ? null : Buffer.from(value)
  }

  /** Keys in `[start, end)`, in order, at most `limit`. */
  keys(start: Buffer, end: Buffer, limit: number): Buffer[] {
    return this.#read(() =>
      Array.from(this.#database.getKeys({ start, end, limit }), (key) => Buffer.from(key as Buffer)),
    )
  }

  /** All of it or nothing. Rejects with {@link LogWriteError}; the file must not be written again then. */
  async commit(change: DatabaseChange): Promise<void> {
    const database = this.#database
    try {
      const { lastPageNumber, pageSize } = this.#database.getStats() as Statistics
      this.#reserve.ensure((lastPageNumber + 1 + mostPagesOf(change, pageSize)) * pageSize)
      await database.batch(() => {
        for (const key of change.removes) void database.remove(key)
        for (const [key, value] of change.puts) void database.put(key, value)
      })
    } catch (error) {
      throw writeError(this.#path, await causeOf(error))
    }
    // Reads of the same turn would else see the state before.
    database.resetReadTxn()
  }

  async close(): Promise<void> {
    await this.#database.close()
    this.#reserve.close()
  }

  #read<T>(read: () => T): T {
    try {
      return read()
    } catch (cause) {
      throw new DamagedLogError('The database of the quorum log cannot be read', this.#path, REJOIN_REMEDY, { cause })
    }
  }
}

/** More than a transaction can take anew: a page per record that it touches, those of long values, and of the trees above. */
function mostPagesOf(change: DatabaseChange, pageBytes: number): number {
  let pages = 64 + change.removes.length
  for (const [, value] of change.puts) pages += 2 + Math.ceil(value.length / pageBytes)
  return pages
}

/** The library rejects with an error whose `commitError` is a promise of the real one. */
async function causeOf(error: unknown): Promise<unknown> {
  const commitError = (error as { commitError?: Promise<unknown> }).commitError
  if (commitError === undefined) return error
  return commitError.then(
    () => error,
    (cause: unknown) => cause,
  )
}

function writeError(path: string, cause: unknown): LogWriteError {
  const code = (cause as { code?: unknown }).code
  if (code === ENOSPC || code === EDQUOT || code === 'ENOSPC' || code === 'EDQUOT') {
    return new LogWriteError(
      'LOG_DISK_FULL',
      `No space left for the quorum log ${path}. Free some and restart the node`,
      {
        cause,
      },
    )
  }
  if (code === MDB_MAP_FULL) {
    return new LogWriteError('LOG_SIZE_LIMIT', `The quorum log ${path} has reached its largest size`, { cause })
  }
  const text = cause instanceof Error ? cause.message : String(cause)
  return new LogWriteError('LOG_DISK_IO', `The quorum log ${path} could not be written: ${text}`, { cause })
}

function openError(path: string, cause: unknown): Error {
  const code = (cause as { code?: unknown }).code
  if (typeof code === 'number' && code < 0) {
    return new DamagedLogError('The file of the quorum log is no database any more', path, REJOIN_REMEDY, { cause })
  }
  return writeError(path, cause)
}
