// What is read of Cost Explorer and of the price list.

import type {
  GetAnomaliesRequest,
  GetAnomaliesResponse,
  GetAnomalyMonitorsRequest,
  GetAnomalyMonitorsResponse,
  GetCostAndUsageRequest,
  GetCostAndUsageResponse,
  GetCostForecastRequest,
  GetCostForecastResponse,
} from "@aws-sdk/client-cost-explorer";
import type { GetProductsRequest, GetProductsResponse } from "@aws-sdk/client-pricing";

export interface CostReads {
  "ce:GetCostAndUsage": [GetCostAndUsageRequest, GetCostAndUsageResponse];
  "ce:GetCostForecast": [GetCostForecastRequest, GetCostForecastResponse];
  "ce:GetAnomalies": [GetAnomaliesRequest, GetAnomaliesResponse];
  "ce:GetAnomalyMonitors": [GetAnomalyMonitorsRequest, GetAnomalyMonitorsResponse];
  "pricing:GetProducts": [GetProductsRequest, GetProductsResponse];
}
