import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { type Stretch, unionOf } from './standstills.ts'

const PRIORITY = 50
const READY_MAX_MS = 30_000

/**
 * Tells when a processor of this (virtual) machine stood still since its host had given it to others: a probe of the highest priority on
 * each of them notices that to the millisecond, where `/proc/stat` tells hundredths of a second. Needs Linux with `chrt` and `taskset` of
 * util-linux, and the right to real-time priorities.
 */
export class ProcessorWatch {
  readonly #probes: Probe[]

  private constructor(probes: Probe[]) {
    this.#probes = probes
  }

  static async start(): Promise<ProcessorWatch> {
    const probes: Probe[] = []
    const watch = new ProcessorWatch(probes)
    try {
      for (let processor = 0; processor < availableParallelism(); processor++) probes.push(await Probe.start(processor))
    } catch (error) {
      await watch.stop()
      throw error
    }
    return watch
  }

  /** Times since the last call in which at least one processor stood still. What is still standing still is told with the next. */
  take(): Stretch[] {
    return unionOf(this.#probes.map((probe) => probe.take()))
  }

  async stop(): Promise<void> {
    await Promise.all(this.#probes.map((probe) => probe.stop()))
  }
}

class Probe {
  readonly #child: ChildProcess
  #stretches: Stretch[] = []
  #failure: Error | null = null

  private constructor(child: ChildProcess) {
    this.#child = child
  }

  static async start(processor: number): Promise<Probe> {
    const program = join(import.meta.dirname, 'processor-probe-program.ts')
    const pinned = ['--cpu-list', String(processor), process.execPath, program]
    const child = spawn('chrt', ['--fifo', String(PRIORITY), 'taskset', ...pinned], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const probe = new Probe(child)
    let complaint = ''
    child.stderr!.on('data', (data) => {
      complaint += data
    })
    const ready = new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('it did not start')), READY_MAX_MS)
      const fail = (reason: string) => {
        clearTimeout(timer)
        probe.#failure = new Error(reason)
        reject(probe.#failure)
      }
      child.on('error', (error) => fail(error.message))
      child.on('exit', (code, signal) => fail(complaint.trim() || `it ended with ${code ?? signal}`))
      createInterface({ input: child.stdout! }).on('line', (line) => {
        clearTimeout(timer)
        if (line === 'ready') resolve()
        else probe.#stretches.push(parseStretch(line))
      })
    })
    try {
      await ready
    } catch (error) {
      await probe.stop()
      const reason = error instanceof Error ? error.message : String(error)
      throw new Error(`watching the processors needs chrt and taskset (util-linux) and real-time priorities: ${reason}`)
    }
    return probe
  }

  take(): Stretch[] {
    if (this.#failure !== null) throw new Error(`a probe of the processors has ended: ${this.#failure.message}`)
    const stretches = this.#stretches
    this.#stretches = []
    return stretches
  }

  async stop(): Promise<void> {
    if (this.#child.pid === undefined || this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const gone = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await gone
  }
}

function parseStretch(line: string): Stretch {
  const [startMs, endMs] = line.split(' ').map(Number)
  if (startMs === undefined || endMs === undefined || !(startMs < endMs)) throw new Error(`no stretch of time: ${line}`)
  return { startMs, endMs }
}
