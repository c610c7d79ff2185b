import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { availableParallelism } from 'node:os'

/** Spins at the lowest priority there is: whatever else wants the core has it at once. Ends with the process that started it. */
const spinner = 'while [ -d /proc/$PPID ]; do i=0; while [ $i -lt 1000000 ]; do i=$((i + 1)); done; done'

/**
 * Runs `measured` while no core may fall asleep. Waking an idle core of a virtual machine takes its host 100–200 µs: as long as a whole
 * record from producer to consumer. Whether a run pays that is up to where the scheduler happens to put the two processes, which blurs
 * any figure of one request at a time. A machine that is tuned for latency does the same with the kernel's `idle=poll`.
 */
export async function withCoresAwake<T>(measured: () => Promise<T>): Promise<T> {
  const children: ChildProcess[] = []
  try {
    for (let core = 0; core < availableParallelism(); core++) {
      const child = spawn('taskset', ['-c', String(core), 'chrt', '--idle', '0', 'sh', '-c', spinner], {
        stdio: 'inherit',
      })
      children.push(child)
      await once(child, 'spawn')
    }
    const result = await measured()
    for (const { exitCode } of children) if (exitCode !== null) throw new Error(`a spinner ended with ${exitCode}`)
    return result
  } finally {
    await Promise.all(
      children.map((child) => {
        if (child.exitCode !== null || child.signalCode !== null) return undefined
        const ended = once(child, 'exit')
        child.kill('SIGKILL')
        return ended
      }),
    )
  }
}
