import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { javaProgram } from '../harness/java-program.ts'
import { endWithParent } from '../harness/own-group.ts'
import { places } from '../harness/places.ts'
import { exitCode, exitInTime, tail } from '../harness/run.ts'

export interface WordCountOptions {
  readonly bootstrap: string
  readonly application: string
  readonly input: string
  readonly output: string
  readonly stateDirectory: string
}

/** One process of the word count with Kafka Streams. */
export class WordCount {
  readonly #child: ChildProcess
  readonly #exit: Promise<number>
  /** Threads that ended with an error and had others take their place, by what they said. */
  readonly replaced: string[] = []
  isRunning = false
  #stderr = ''

  constructor({ bootstrap, application, input, output, stateDirectory }: WordCountOptions) {
    const source = join(import.meta.dirname, 'programs/WordCount.java')
    const program = { source, className: 'WordCount', jars: places.streamsJars }
    const [command, ...args] = javaProgram(program, [bootstrap, application, input, output, stateDirectory])
    const child = spawn(command!, args, { stdio: ['pipe', 'pipe', 'pipe'], detached: true })
    endWithParent(child)
    this.#child = child
    this.#exit = exitCode(child)
    // Whoever waits for its end gets the failure.
    this.#exit.catch(() => undefined)
    child.stdin.on('error', () => child.stdin.destroy())
    child.stderr.on('data', (chunk: Buffer) => {
      this.#stderr = tail(this.#stderr + chunk.toString())
    })
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line === 'running') this.isRunning = true
      if (line.startsWith('replaced ')) this.replaced.push(line.slice('replaced '.length))
    })
  }

  /** Whether it has ended, and nobody told it to. */
  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null
  }

  /** The end of what it has logged. */
  get log(): string {
    return this.#stderr
  }

  /** Lets it commit what it has done, and waits. Fails if it does not end in order. */
  async stop(): Promise<void> {
    this.#child.stdin?.end()
    const code = await exitInTime(this.#child, this.#exit, 60_000)
    if (code !== 0) throw new Error(`the word count ended with ${code}\n${this.#stderr}`)
  }

  /** In every case, at the end. */
  async kill(): Promise<void> {
    if (!this.hasEnded) this.#child.kill('SIGKILL')
    await this.#exit.catch(() => undefined)
  }
}
