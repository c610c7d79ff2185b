import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { cpuBetween, cpuSecondsOf } from './process-stats.ts'
import { run } from './run.ts'

/** Runs `measured` while holding the machine's lock for timing runs, after the disk has settled. */
export async function undisturbed<T>(measured: () => Promise<T>): Promise<T> {
  const holder = spawn('flock', [join(tmpdir(), 'bench.lock'), 'sh', '-c', 'echo held; cat'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const ended = once(holder, 'exit')
  await Promise.race([once(holder.stdout, 'data'), ended.then(() => Promise.reject(new Error('flock failed')))])
  try {
    // What an earlier run left unwritten would be written during this one.
    await run('sync', [])
    return await measured()
  } finally {
    holder.stdin.end()
    await ended
  }
}

/** CPU seconds that a broker (all its nodes together) spends per 10^9 bytes of record values, while `work` runs. */
export async function cpuPerGb<T>(
  pids: readonly number[],
  bytes: number,
  work: () => Promise<T>,
): Promise<{ result: T; cpu: { userPerGb: number; systemPerGb: number; cpuPerGb: number } }> {
  const before = cpuSecondsOf(pids)
  const result = await work()
  const { user, system } = cpuBetween(before, cpuSecondsOf(pids))
  const gigabytes = bytes / 1e9
  return {
    result,
    cpu: { userPerGb: user / gigabytes, systemPerGb: system / gigabytes, cpuPerGb: (user + system) / gigabytes },
  }
}
