import { setFlagsFromString } from 'node:v8'
import { ViolationError } from './violation.ts'

// Captured before anybody sets traps.
const later = globalThis.setImmediate

/** Events between two turns of the real event loop, in which messages of other processes and signals get their turn. */
const SLICE_EVENTS = 500

/**
 * Lets events happen one after the other: calls `step` until it returns false, and after each call everything that promises have to do is
 * done. What happens only later, by the real loop or its timers, has no place in a run: while steps are called, whoever asks the real
 * world for time, chance or a later turn throws C20.
 */
export function driveEvents(step: () => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    const slice = (): void => {
      const lift = setTraps()
      try {
        for (let count = 0; count < SLICE_EVENTS; count++) {
          const goesOn = step()
          runMicrotasks()
          if (goesOn) continue
          resolve()
          return
        }
      } catch (error) {
        reject(error)
        return
      } finally {
        lift()
      }
      later(slice)
    }
    // The queue of microtasks is only run from outside of it.
    later(slice)
  })
}

/**
 * Empties the queue of microtasks at once, as V8 does when a task ends. A turn of the event loop for each event did the same and cost more
 * than most events. The syntax of V8's own functions is allowed from here on in this process, which is one of the simulator's.
 */
const runMicrotasks = ((): (() => void) => {
  setFlagsFromString('--allow-natives-syntax')
  return new Function('%PerformMicrotaskCheckpoint()') as () => void
})()

/** Puts traps in the place of what would differ from run to run; what it returns takes them away. */
function setTraps(): () => void {
  const undo = [
    trap(Date, 'now'),
    trap(Math, 'random'),
    trap(performance, 'now'),
    trap(globalThis, 'setTimeout'),
    trap(globalThis, 'setInterval'),
    trap(globalThis, 'setImmediate'),
    trap(process, 'nextTick'),
  ]
  return () => {
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
