import VarveIO
