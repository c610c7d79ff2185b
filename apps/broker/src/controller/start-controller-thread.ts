import type { Worker } from 'node:worker_threads'
import { RealTimers } from '@millrace/base'
import type { Configuration, Logger } from '@millrace/broker'
import type { QuorumIdentity } from './quorum-directory.ts'
import { errorFrom } from './sent-error.ts'
import { ThreadControllerPort } from './thread-controller-port.ts'
import type { ToBroker, ToController } from './thread-messages.ts'

/**
 * Starts the quorum node of this process in a thread of its own, so that a stall of the data path costs no leadership of the quorum.
 * Resolves once it listens to other nodes; rejects with the error that says why it cannot.
 */
export async function startControllerThread(
  configuration: Configuration,
  identity: QuorumIdentity,
  logger: Logger,
): Promise<ThreadControllerPort> {
  const [{ Worker }, { CONTROLLER_THREAD, controllerModule }] = await Promise.all([
    import('node:worker_threads'),
    import('./controller-thread.ts'),
  ])
  const worker = new Worker(new URL(controllerModule), {
    name: CONTROLLER_THREAD,
    workerData: { kind: CONTROLLER_THREAD, settings: [...configuration.layers.static], identity },
  })
  const thread = {
    postMessage: (message: ToController) => worker.postMessage(message),
    terminate: () => {
      // A call of the system that hangs holds the thread, not the process.
      worker.unref()
      return worker.terminate()
    },
  }
  const port = new ThreadControllerPort(thread, identity.clusterId, new RealTimers())
  await whenReady(worker, port, logger)
  return port
}

function whenReady(worker: Worker, port: ThreadControllerPort, logger: Logger): Promise<void> {
  return new Promise((resolve, reject) => {
    const onEnd = (error: Error): void => {
      reject(error)
      port.onEnd(error)
    }
    worker.on('message', (message: ToBroker) => {
      if (message.type === 'ready') resolve()
      else if (message.type === 'failed') reject(errorFrom(message.error))
      else if (message.type === 'log') logger[message.level](message.message, { ...message.fields })
      port.onMessage(message)
    })
    worker.on('error', (error) => onEnd(error instanceof Error ? error : new Error(String(error))))
    worker.on('exit', (code) => onEnd(new Error(`the thread of the controller ended with ${code}`)))
  })
}
