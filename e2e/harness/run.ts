import { type ChildProcess, spawn } from 'node:child_process'

export interface RunOptions {
  /** Written to the program's standard input, which is then closed. */
  readonly input?: string | Buffer
  readonly environment?: Readonly<Record<string, string>>
  readonly directory?: string
  /** The program is killed and the call fails when it takes longer. Default 60 s. */
  readonly timeoutMs?: number
  /** Exit codes other than 0 that are an answer and not a failure. */
  readonly allowExit?: readonly number[]
}

export interface RunResult {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs a program to its end. Throws with both of its outputs if it cannot start, exits with an unexpected code or takes too long. */
export async function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const child = spawn(command, [...args], {
    cwd: options.directory,
    env: { ...process.env, ...options.environment },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  const stdout: Buffer[] = []
  const stderr: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk))
  // A program that ends before it has read all of its input breaks the pipe; its exit code tells the story.
  child.stdin.on('error', () => child.stdin.destroy())
  child.stdin.end(options.input ?? '')
  const timeoutMs = options.timeoutMs ?? 60_000
  let late = false
  const timer = setTimeout(() => {
    late = true
    child.kill('SIGKILL')
  }, timeoutMs)
  const code = await exitCode(child).finally(() => clearTimeout(timer))
  const result = { code, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() }
  if (!late && (code === 0 || options.allowExit?.includes(code))) return result
  const reason = late ? `took longer than ${timeoutMs} ms` : `exited with ${code}`
  throw new Error(`${command} ${args.join(' ')} ${reason}\n${tail(result.stdout)}\n${tail(result.stderr)}`)
}

/** The exit code once the process and its pipes are closed; 128 + 9 for a process that a signal ended, as a shell gives it. */
export function exitCode(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve(code ?? 137))
  })
}

/** Waits for a program that was told to end. One that stays is killed, so that it outlives no test, and the call fails. */
export async function exitInTime(child: ChildProcess, exit: Promise<number>, timeoutMs = 30_000): Promise<number> {
  let late = false
  const timer = setTimeout(() => {
    late = true
    child.kill('SIGKILL')
  }, timeoutMs)
  const code = await exit.finally(() => clearTimeout(timer))
  if (late) throw new Error(`${child.spawnfile} was told to end and did not within ${timeoutMs} ms`)
  return code
}

/** The end of a long text, for messages. */
export function tail(text: string): string {
  return text.length > 4000 ? `…${text.slice(-4000)}` : text
}
