import { readdirSync, readFileSync } from 'node:fs'

/** Clock ticks a second that /proc counts in; every Linux that Node runs on has 100. */
const TICKS_PER_SECOND = 100

/** CPU seconds of a process with all its threads, user and system, in steps of 10 ms. */
export function cpuSecondsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  // The name in parentheses may hold spaces; user and system time are the 12th and 13th field behind it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}

/** How long a process's main thread has waited for a core that others had. */
export function waitedForCoreMs(pid: number): number {
  const [, waitedNs] = readFileSync(`/proc/${pid}/task/${pid}/schedstat`, 'utf8').split(' ')
  return Number(waitedNs) / 1e6
}

/** What a process has had read from the disk, by itself or ahead. */
export function diskReadMib(pid: number): number {
  return Number(/^read_bytes: (\d+)/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))![1]) / 2 ** 20
}

/** What a process holds of the machine. */
export interface Holdings {
  readonly anonymousMib: number
  readonly descriptorCount: number
  readonly mappingCount: number
}

export function holdingsOf(pid: number): Holdings {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const kibibytes = Number(/^RssAnon:\s+(\d+)/m.exec(status)?.[1])
  return {
    anonymousMib: Math.round(kibibytes / 1024),
    descriptorCount: readdirSync(`/proc/${pid}/fd`).length,
    mappingCount: readFileSync(`/proc/${pid}/maps`, 'utf8').split('\n').length - 1,
  }
}
