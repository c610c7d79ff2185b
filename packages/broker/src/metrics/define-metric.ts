/** Sets the value of one series. */
export type SetValue = (labels: Record<string, string>, value: number) => void
/** Sets the values of one metric's series. What must wait for something outside of the loop gives a promise. */
export type CollectValues = (set: SetValue) => void | Promise<void>
/** Makes one metric, whose values are asked for at each scrape. */
export type DefineMetric = (name: string, help: string, labelNames: string[], collect: CollectValues) => void
