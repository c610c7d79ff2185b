import { constants, fstatSync, openSync } from 'node:fs'
import { Socket } from 'node:net'

/** Sockets made for their effect on a descriptor. Kept for ever: one that is collected closes it. */
const kept: Socket[] = []

/**
 * A descriptor of what `descriptor` leads to, on which a write that finds no room fails with EAGAIN instead of waiting: nobody may be
 * there to read a pipe or a socket, and a terminal may be stopped (Ctrl-S). `descriptor` itself for files, which have room or fail, and
 * where the system gives nothing better.
 */
export function unblocked(descriptor: number): number {
  const kind = kindOf(descriptor)
  if (kind === 'file' || process.platform === 'win32') return descriptor
  // Opened anew it has flags of its own: those of the one that was given are shared with whoever else holds it.
  if (kind === 'pipe' || kind === 'device') return openedAnew(descriptor) ?? withFlag(descriptor, kind)
  return withFlag(descriptor, kind)
}

type Kind = 'file' | 'pipe' | 'device' | 'socket'

function kindOf(descriptor: number): Kind {
  try {
    const stats = fstatSync(descriptor)
    if (stats.isFIFO()) return 'pipe'
    if (stats.isSocket()) return 'socket'
    return stats.isCharacterDevice() ? 'device' : 'file'
  } catch (error) {
    // Closed: writes to it fail at once.
    return forSystemError(error, 'file')
  }
}

/** Null where there is no such way (other systems), or this user may not take it. */
function openedAnew(descriptor: number): number | null {
  if (process.platform !== 'linux') return null
  const flags = constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY
  try {
    return openSync(`/proc/self/fd/${descriptor}`, flags)
  } catch (error) {
    return forSystemError(error, null)
  }
}

/** Node sets the flag of what it opens as a stream. It has no other call for that. */
function withFlag(descriptor: number, kind: Kind): number {
  if (kind === 'device') return descriptor
  try {
    kept.push(new Socket({ fd: descriptor, readable: false, writable: true }).unref())
  } catch (error) {
    // A kind of socket that Node does not know: its writes wait.
    return forSystemError(error, descriptor)
  }
  return descriptor
}

/** What to do with is given for errors of the system and of Node; a bug is thrown. */
function forSystemError<Result>(error: unknown, result: Result): Result {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return result
  throw error
}
