import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

/** How to start a node's program. */
export interface NodeCommand {
  readonly file: string
  readonly args: readonly string[]
  readonly environment: Readonly<Record<string, string>>
}

/** What a process ended with: an exit code or a signal. */
export interface NodeEnd {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface NodeOutputs {
  /** The line that tells that it serves. Comes once at most. */
  onReady(line: string): void
  /** Any other line that it writes. */
  onLine(line: string): void
}

const READY = /^ready /

/**
 * One node as a child process. It is in a group of its own, so that Ctrl-C at the terminal reaches only who started it, and is told by
 * its channel when that one is gone.
 */
export class NodeProcess {
  /** Resolves when the process and its outputs have ended. Never rejects. */
  readonly ended: Promise<NodeEnd>
  readonly #child: ChildProcess
  #hasEnded = false

  constructor(command: NodeCommand, outputs: NodeOutputs) {
    const { file, args, environment } = command
    const child = spawn(file, [...args], { stdio: ['ignore', 'pipe', 'pipe', 'ipc'], env: environment, detached: true })
    this.#child = child
    let isReady = false
    createInterface({ input: child.stdout! }).on('line', (line) => {
      if (isReady || !READY.test(line)) return outputs.onLine(line)
      isReady = true
      outputs.onReady(line)
    })
    createInterface({ input: child.stderr! }).on('line', outputs.onLine)
    this.ended = new Promise((resolve) => {
      const end = (result: NodeEnd) => {
        this.#hasEnded = true
        resolve(result)
      }
      child.once('close', (code, signal) => end({ code, signal }))
      child.once('error', (error) => {
        outputs.onLine(error.message)
        // A process that never was has no end to wait for.
        if (child.pid === undefined) end({ code: null, signal: null })
      })
    })
  }

  /** 0: it could not be started. */
  get pid(): number {
    return this.#child.pid ?? 0
  }

  get hasEnded(): boolean {
    return this.#hasEnded
  }

  signal(signal: NodeJS.Signals): void {
    if (!this.#hasEnded) this.#child.kill(signal)
  }
}
