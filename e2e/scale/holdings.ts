import { readdirSync, readFileSync } from 'node:fs'

/** What a process holds, as the kernel tells it. */
export interface Holdings {
  /** Memory that is no file's (`RssAnon`). */
  readonly anonymousKib: number
  readonly descriptors: number
  /** Of files below its directory. */
  readonly mappings: number
  /** Of all its threads so far, in steps of 10 ms. */
  readonly cpuSeconds: number
}

/** Clock ticks a second that /proc counts in; every Linux that Node runs on has 100. */
const TICKS_PER_SECOND = 100

/** `directory`: where its files are. */
export function holdingsOf(pid: number, directory: string): Holdings {
  const anonymousKib = Number(/^RssAnon:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  // The name in parentheses may hold spaces; user and system time are the 12th and 13th field behind it.
  const [user, system] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 13)
  return {
    anonymousKib,
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    mappings: readFileSync(`/proc/${pid}/maps`, 'utf8').split(` ${directory}/`).length - 1,
    cpuSeconds: (Number(user) + Number(system)) / TICKS_PER_SECOND,
  }
}

/** The mean over several processes. */
export function meanHoldings(processes: readonly { readonly pid: number; readonly directory: string }[]): Holdings {
  const all = processes.map(({ pid, directory }) => holdingsOf(pid, directory))
  const mean = (figure: keyof Holdings) => all.reduce((sum, one) => sum + one[figure], 0) / all.length
  return {
    anonymousKib: mean('anonymousKib'),
    descriptors: mean('descriptors'),
    mappings: mean('mappings'),
    cpuSeconds: mean('cpuSeconds'),
  }
}
