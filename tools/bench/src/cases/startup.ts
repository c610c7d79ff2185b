import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { BenchCase, BenchContext, Figures } from '../bench-case.ts'
import { endProcess, freePortPair, kafkaScript, millraceCommand } from '../broker.ts'
import { metadataFrame, produceError, produceFrame } from '../frames.ts'
import { undisturbed } from '../measure.ts'
import { run } from '../run.ts'
import type { Variant } from '../variant.ts'

/**
 * From the start of the broker's process to the first acknowledged record (acks=all) of a client that tries to connect every
 * millisecond: with an empty data directory, where the topic must be created, and again after a clean stop.
 */
export function startupCase(): BenchCase {
  return {
    group: 'start-up',
    name: 'to the first acknowledged record',
    variants: ['kafka', 'millrace'],
    async prepare(context: BenchContext, variant: Variant) {
      const measure = variant.broker.kind === 'kafka' ? measureKafka : measureMillrace
      return { run: () => undisturbed(() => measure(context)), dispose: async () => undefined }
    },
  }
}

async function measureMillrace({ root, work }: BenchContext): Promise<Figures> {
  const directory = join(work, `startup-millrace-${process.pid}`)
  const once = async () => {
    const port = await freePortPair()
    const [command, args] = millraceCommand(root, port, directory)
    const startedMs = performance.now()
    const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'inherit'] })
    try {
      await firstAcknowledged(port)
      return performance.now() - startedMs
    } finally {
      await endProcess(child)
    }
  }
  const figures = { freshMs: await once(), restartMs: await once() }
  rmSync(directory, { recursive: true, force: true })
  return figures
}

async function measureKafka({ peers, work }: BenchContext): Promise<Figures> {
  const directory = join(work, `startup-kafka-${process.pid}`)
  mkdirSync(directory, { recursive: true })
  const port = await freePortPair()
  const start = () =>
    run(kafkaScript(peers, 'start'), [port, directory], { environment: { NO_WAIT_READY: '1' }, timeoutMs: 120_000 })
  const once = async () => {
    const starting = start()
    try {
      await firstAcknowledged(port)
      const nowMs = performance.now()
      await starting
      // The script formats a fresh directory first, which is not counted: the broker's process tells when it began.
      return ageMs(Number(readFileSync(join(directory, 'pid'), 'utf8'))) - (performance.now() - nowMs)
    } finally {
      await run(kafkaScript(peers, 'stop'), [directory])
    }
  }
  const figures = { freshMs: await once(), restartMs: await once() }
  rmSync(directory, { recursive: true, force: true })
  return figures
}

/** Milliseconds since a process began, exact to 10 ms. */
function ageMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const startTicks = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19])
  const uptimeSeconds = Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0])
  return uptimeSeconds * 1000 - startTicks * 10
}

/** Does as clients do: connects, asks for the topic, sends; and starts again if the broker is not ready for one of these. */
async function firstAcknowledged(port: number): Promise<void> {
  const deadlineMs = performance.now() + 60_000
  for (;;) {
    const socket = await connectOnce(port)
    try {
      if (socket && (await isAcknowledged(socket))) return
    } catch (error) {
      // Closed in the moment between listening and serving.
      if (performance.now() > deadlineMs) throw error
    } finally {
      socket?.destroy()
    }
    if (performance.now() > deadlineMs) throw new Error('no record was acknowledged within a minute')
    await delay(1)
  }
}

async function isAcknowledged(socket: Socket): Promise<boolean> {
  await exchange(socket, metadataFrame('first'))
  for (let tries = 0; tries < 1000; tries++) {
    if (produceError(await exchange(socket, produceFrame('first', -1, 100))) === 0) return true
    // The topic is on its way: asking for its metadata has created it.
    await delay(1)
  }
  return false
}

function connectOnce(port: number): Promise<Socket | null> {
  return new Promise((resolve) => {
    const attempt = connect({ port, host: '127.0.0.1', noDelay: true })
    attempt.once('connect', () => resolve(attempt))
    attempt.once('error', () => resolve(null))
  })
}

/** Sends one request and gives its response without the length prefix. */
function exchange(socket: Socket, frame: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let response = Buffer.alloc(0)
    const onData = (chunk: Buffer) => {
      response = Buffer.concat([response, chunk])
      if (response.length < 4 || response.length < 4 + response.readInt32BE(0)) return
      socket.off('data', onData)
      socket.off('close', onClose)
      resolve(response.subarray(4))
    }
    const onClose = () => reject(new Error('the broker closed the connection'))
    socket.on('data', onData)
    socket.once('close', onClose)
    socket.write(frame)
  })
}
