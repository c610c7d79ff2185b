import { isMainThread, parentPort, workerData } from 'node:worker_threads'
import { RealClock, RealDisk, RealRandom, RealTimers, type Timers } from '@millrace/base'
import { Configuration, type Logger } from '@millrace/broker'
import { ControllerPortServer } from './controller-port-server.ts'
import { ControllerRuntime } from './controller-runtime.ts'
import type { QuorumIdentity } from './quorum-directory.ts'
import { sentErrorOf } from './sent-error.ts'
import { THREAD_PROTOCOL_VERSION, type ToBroker, type ToController } from './thread-messages.ts'

/**
 * What the thread runs: this module. Bundled, it is a chunk of its own, whose name only it can tell. On the main thread it does nothing.
 */
export const controllerModule = import.meta.url

/** Marks a thread as one for this. */
export const CONTROLLER_THREAD = 'millrace-controller'

/** What the thread is given at its start. */
export interface ControllerThreadData {
  readonly kind: typeof CONTROLLER_THREAD
  /** Settings of the node as they were given. */
  readonly settings: readonly (readonly [key: string, value: string])[]
  readonly identity: QuorumIdentity
}

/** How often the broker's thread is told how the quorum node fares. */
const STATUS_INTERVAL_MS = 1000

/** Lines go to the broker's thread, which has the process's logger. */
function threadLogger(post: (message: ToBroker) => void): Logger {
  const log =
    (level: 'debug' | 'info' | 'warn' | 'error') =>
    (message: string, fields: Readonly<Record<string, unknown>> = {}): void =>
      post({ type: 'log', level, message, fields })
  return { debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') }
}

async function run({ settings, identity }: ControllerThreadData, post: (message: ToBroker) => void) {
  const logger = threadLogger(post)
  // What is wrong with the settings was said where they were read first.
  const configuration = new Configuration(new Map(settings), { warn: () => undefined })
  const { cluster } = configuration.broker
  if (cluster === null) throw new Error('the settings name no cluster')
  const timers = new RealTimers()
  const runtime = await ControllerRuntime.open({
    configuration,
    cluster,
    identity,
    disk: new RealDisk(),
    clock: new RealClock(),
    timers,
    random: new RealRandom(),
    logger,
  })
  tellStatus(runtime, timers, post)
  return runtime
}

function tellStatus(runtime: ControllerRuntime, timers: Timers, post: (message: ToBroker) => void): void {
  const { status, wait } = runtime
  if (status !== null || wait !== null) post({ type: 'status', status, wait })
  timers.setTimer(STATUS_INTERVAL_MS, () => tellStatus(runtime, timers, post))
}

const data = workerData as ControllerThreadData | null
if (!isMainThread && data?.kind === CONTROLLER_THREAD && parentPort !== null) {
  const port = parentPort
  const post = (message: ToBroker): void => port.postMessage(message)
  run(data, post).then(
    (runtime) => {
      const node = {
        start: runtime.start.bind(runtime),
        request: runtime.node.request.bind(runtime.node),
        heartbeat: runtime.node.heartbeat.bind(runtime.node),
        close: runtime.close.bind(runtime),
        get image() {
          return runtime.image
        },
      }
      const server = new ControllerPortServer(node, post)
      port.on('message', (message: ToController) => {
        server.onMessage(message).catch((error: unknown) => post({ type: 'fatal', error: sentErrorOf(error) }))
      })
      post({ type: 'ready', version: THREAD_PROTOCOL_VERSION, port: runtime.port })
    },
    (error: unknown) => post({ type: 'failed', error: sentErrorOf(error) }),
  )
}
