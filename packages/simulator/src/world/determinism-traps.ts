import { ViolationError } from './violation.ts'

const later = globalThis.setImmediate

/** Lets everything that promises have to do be done: the queue of microtasks is empty when the event loop turns. */
export function microtasksDone(): Promise<void> {
  return new Promise((resolve) => {
    later(resolve)
  })
}

/**
 * Runs something in which nobody may ask the real world for time, chance or a later turn: what would, throws C20. Whatever is not asked for
 * through a port would differ from run to run.
 */
export async function withTraps<T>(run: () => Promise<T>): Promise<T> {
  const undo = [
    trap(Date, 'now'),
    trap(Math, 'random'),
    trap(performance, 'now'),
    trap(globalThis, 'setTimeout'),
    trap(globalThis, 'setInterval'),
    trap(globalThis, 'setImmediate'),
  ]
  try {
    return await run()
  } finally {
    for (const restore of undo) restore()
  }
}

function trap<O extends object>(owner: O, name: keyof O & string): () => void {
  const real = Object.getOwnPropertyDescriptor(owner, name)
  Object.defineProperty(owner, name, {
    configurable: true,
    value: () => {
      throw new ViolationError('C20', `${name} of the real world was asked for`)
    },
  })
  return () => {
    if (real === undefined) delete owner[name]
    else Object.defineProperty(owner, name, real)
  }
}
