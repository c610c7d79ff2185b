/** Gives the event loop to others. Resolves in a later turn. */
export type NextTurn = () => Promise<void>
