import { type ChildProcess, spawn } from 'node:child_process'

export interface RunResult {
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  readonly environment?: Readonly<Record<string, string>>
  readonly directory?: string
  readonly timeoutMs?: number
  /** Whether a program that ended with another code than 0 did its work all the same. */
  readonly succeeded?: (result: RunResult) => boolean
  /** Called every 50 ms while the program runs. */
  readonly sample?: () => void
}

const running = new Set<ChildProcess>()

/** For a run that is interrupted: a load program whose broker is gone would try again for ever. */
export function stopRunning(): void {
  for (const child of running) stop(child)
}

/** With what it started itself: Kafka's tools are shell scripts around a JVM. */
function stop({ pid, exitCode, signalCode }: ChildProcess): void {
  if (pid !== undefined && exitCode === null && signalCode === null) process.kill(-pid, 'SIGKILL')
}

/** Runs a program to its end. Throws with its outputs if it fails or takes longer than `timeoutMs`, by default five minutes. */
export function run(command: string, args: readonly (string | number)[], options: RunOptions = {}): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args.map(String), {
      cwd: options.directory,
      env: { ...process.env, ...options.environment },
      stdio: ['ignore', 'pipe', 'pipe'],
      // A process group of its own.
      detached: true,
    })
    running.add(child)
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (chunk) => {
      stdout += chunk
    })
    child.stderr.on('data', (chunk) => {
      stderr += chunk
    })
    const sampler = options.sample ? setInterval(options.sample, 50) : undefined
    const timer = setTimeout(() => stop(child), options.timeoutMs ?? 300_000)
    child.once('error', (error) => {
      running.delete(child)
      reject(error)
    })
    child.once('close', (code) => {
      running.delete(child)
      clearInterval(sampler)
      clearTimeout(timer)
      if (code === 0 || options.succeeded?.({ stdout, stderr })) resolve({ stdout, stderr })
      else
        reject(
          new Error(`${command} ${args.join(' ')} ended with ${code}\n${stdout.slice(-2000)}\n${stderr.slice(-2000)}`),
        )
    })
  })
}
