import { readFileSync } from 'node:fs'

/** CPU seconds of a process with all its threads, as the kernel counts them: in steps of 10 ms. */
export interface CpuSeconds {
  readonly user: number
  readonly system: number
}

/** Clock ticks a second that /proc counts in; every Linux that Node runs on has 100. */
const ticksPerSecond = 100

function cpuSeconds(pid: number): CpuSeconds {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  // The name in parentheses may hold spaces; user and system time are the 12th and 13th field behind it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return { user: Number(fields[11]) / ticksPerSecond, system: Number(fields[12]) / ticksPerSecond }
}

/** Of several processes together. */
export function cpuSecondsOf(pids: readonly number[]): CpuSeconds {
  const all = pids.map(cpuSeconds)
  return {
    user: all.reduce((sum, { user }) => sum + user, 0),
    system: all.reduce((sum, { system }) => sum + system, 0),
  }
}

export function cpuBetween(before: CpuSeconds, after: CpuSeconds): CpuSeconds {
  return { user: after.user - before.user, system: after.system - before.system }
}

/** Resident memory in MiB: what the process alone holds, and pages of files, which the kernel may drop. */
export interface ResidentMemory {
  readonly anonymousMb: number
  readonly fileMb: number
}

export function residentMemory(pid: number): ResidentMemory {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const kilobytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? Number.NaN)
  return { anonymousMb: kilobytes('RssAnon') / 1024, fileMb: kilobytes('RssFile') / 1024 }
}
