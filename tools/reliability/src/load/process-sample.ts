import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

/** What Linux tells of a process. */
export interface ProcessSample {
  /** Memory that it alone holds: no pages of files, which the system may drop. */
  readonly anonymousBytes: number
}

export function sampleProcess(pid: number): ProcessSample {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1')
  const kilobytes = /^RssAnon:\s+(\d+)/m.exec(status)?.[1]
  if (kilobytes === undefined) throw new Error(`/proc/${pid}/status tells no RssAnon: this needs Linux`)
  return { anonymousBytes: Number(kilobytes) * 1024 }
}

/** Open descriptors. Takes milliseconds with thousands: not while latencies are measured in this process. */
export function descriptorCount(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length
}

/** What a process holds of files below a folder: `deleted` ones have no name any more and still take their space. */
export interface HeldFiles {
  readonly open: number
  readonly mapped: number
  readonly deleted: readonly string[]
}

export function heldFiles(pid: number, folder: string): HeldFiles {
  const open: string[] = []
  for (const name of readdirSync(`/proc/${pid}/fd`)) {
    const target = linkOf(`/proc/${pid}/fd/${name}`)
    if (target.startsWith(folder)) open.push(target)
  }
  const mapped = readFileSync(`/proc/${pid}/maps`, 'utf8')
    .split('\n')
    .map((line) => line.slice(line.indexOf('/')))
    .filter((path) => path.startsWith(folder))
  const deleted = [...open, ...mapped].filter((path) => path.endsWith(' (deleted)'))
  return { open: open.length, mapped: mapped.length, deleted: [...new Set(deleted)] }
}

/** A descriptor that was closed since it was listed leads nowhere. */
function linkOf(path: string): string {
  try {
    return readlinkSync(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ''
    throw error
  }
}

/** How many files and sockets this process may open, and its children, unless they raise it. */
export function descriptorLimit(): number {
  const hard = /^Max open files\s+\d+\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1]
  return hard === undefined ? Number.POSITIVE_INFINITY : Number(hard)
}
